"""`methods`: what `--set` takes, as text and as JSON."""

from __future__ import annotations

import json

from csi_demo.cli import main
from csi_demo.methods import available_methods, load_method


def test_every_control_and_option_is_listed(capsys):
    assert main(["methods", "--json"]) == 0
    found = {method["name"]: method for method in json.loads(capsys.readouterr().out)["methods"]}
    assert tuple(found) == available_methods()
    for name, described in found.items():
        method = load_method(name)
        for title, some in (("controls", method.controls), ("options", method.options)):
            assert [entry["name"] for entry in described[title]] == [control.name for control in some]
            for entry, control in zip(described[title], some, strict=True):
                assert (entry["minimum"], entry["maximum"]) == (control.minimum, control.maximum)
                assert entry["default"] == control.default
                assert entry["help"]


def test_as_text_for_one_method(capsys):
    assert main(["methods", "--method", "dcgan"]) == 0
    said = capsys.readouterr().out
    assert said.startswith("dcgan (DCGAN): ")
    assert "perceptual" in said
    assert "0.1" in said
    assert main(["methods", "--method", "wings"]) == 2
    assert "unknown method" in capsys.readouterr().err


def test_figures_and_latents_without_a_name_are_told_on_demand(capsys):
    named, latent = load_method("csi").controls[0], next(c for c in load_method("csi").controls if c.kind == "latent")
    for words, told in (([], False), (["--verbose"], True)):
        assert main(["methods", "--method", "csi", *words]) == 0
        lines = capsys.readouterr().out.splitlines()
        assert any(line.split()[:1] == [named.name] for line in lines)
        assert any(line.split()[:1] == [latent.name] for line in lines) is told
        assert (named.help in "\n".join(lines)) is told
