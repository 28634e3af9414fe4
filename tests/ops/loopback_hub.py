"""A Hub on loopback: what huggingface_hub asks of the real one to publish and load models, with faults on demand."""

from __future__ import annotations

import base64
import hashlib
import json
import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import unquote, urlsplit

TOKEN = "hf_loopback"
Files = dict[str, bytes]


@dataclass
class Repository:
    """Commits, each with all its files, and the branches that point to them."""

    private: bool = False
    commits: dict[str, Files] = field(default_factory=dict)
    branches: dict[str, str] = field(default_factory=dict)

    def commit(self, branch: str, files: Files) -> str:
        """Adds files to a branch."""
        name = hashlib.sha1(f"{branch} {len(self.commits)}".encode()).hexdigest()
        self.commits[name] = self.files(branch) | files
        self.branches[branch] = name
        return name

    def files(self, revision: str) -> Files:
        """The files at a branch or commit; none where it does not exist."""
        return self.commits.get(self.branches.get(revision, revision), {})


class LoopbackHub(ThreadingHTTPServer):
    """The server. fault: what is wrong with every file that is asked for; requests: method and path of all requests;
    starts: from which byte on each file was asked for."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.repositories: dict[str, Repository] = {}
        self.stored: Files = {}  # large files by SHA-256
        self.fault: str | None = None
        self.dropped: set[str] = set()  # what the fault "dropped once" has hit
        self.requests: list[tuple[str, str]] = []
        self.starts: list[tuple[str, int]] = []
        self.released = threading.Event()  # ends slow answers

    @property
    def address(self) -> str:
        """What HF_ENDPOINT is to be."""
        return f"http://127.0.0.1:{self.server_port}"

    def fetched(self) -> list[str]:
        """Files whose content was asked for, in order."""
        return [path for method, path in self.requests if method == "GET" and re.match(r"/store/|/.+/resolve/", path)]


@contextmanager
def serving() -> Iterator[LoopbackHub]:
    """A Hub that runs until the block is left."""
    with LoopbackHub() as hub:
        thread = threading.Thread(target=hub.serve_forever, kwargs={"poll_interval": 0.05})
        thread.start()
        try:
            yield hub
        finally:
            hub.released.set()
            hub.shutdown()
            thread.join()


def _is_large(path: str) -> bool:
    return path.endswith(".safetensors")


class _Handler(BaseHTTPRequestHandler):
    server: LoopbackHub
    protocol_version = "HTTP/1.1"

    def log_message(self, *_) -> None:
        pass

    def do_HEAD(self) -> None:
        self._route()

    do_GET = do_POST = do_PUT = do_HEAD  # noqa: N815

    def _route(self) -> None:
        self.path = unquote(urlsplit(self.path).path)
        self.server.requests.append((self.command, self.path))
        routes = (
            ("POST", r"/api/repos/create", self._create),
            ("POST", r"/api/validate-yaml", self._validate),
            ("POST", r"/api/models/(.+/.+)/preupload/(.+)", self._preupload),
            ("POST", r"/(.+/.+)\.git/info/lfs/objects/batch", self._batch),
            ("PUT", r"/store/(\w+)", self._store),
            ("POST", r"/api/models/(.+/.+)/commit/(.+)", self._commit),
            ("POST", r"/api/models/(.+/.+)/branch/(.+)", self._branch),
            ("GET", r"/api/models/([^/]+/[^/]+)", self._info),
            ("GET", r"/api/models/([^/]+/[^/]+)/revision/(.+)", self._info),
            ("HEAD|GET", r"/([^/]+/[^/]+)/resolve/([^/]+)/(.+)", self._resolve),
            ("HEAD|GET", r"/store/(\w+)/(.+)", self._serve_stored),
        )
        for method, pattern, answer in routes:
            if re.fullmatch(method, self.command) and (match := re.fullmatch(pattern, self.path)):
                answer(*match.groups())
                return
        self._fail(404)

    def _body(self) -> bytes:
        if self.headers.get("Transfer-Encoding") != "chunked":
            return self.rfile.read(int(self.headers.get("Content-Length", 0)))
        parts = []
        while size := int(self.rfile.readline(), 16):
            parts.append(self.rfile.read(size))
            self.rfile.readline()
        self.rfile.readline()
        return b"".join(parts)

    def _answer(self, content: bytes = b"", status: int = 200, headers: dict[str, str] | None = None) -> None:
        self.send_response(status)
        for name, value in ({"Content-Length": str(len(content))} | (headers or {})).items():
            self.send_header(name, value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(content)

    def _json(self, content: object, status: int = 200) -> None:
        self._answer(json.dumps(content).encode(), status, {"Content-Type": "application/json"})

    def _fail(self, status: int, code: str = "") -> None:
        self._answer(b"", status, {"X-Error-Code": code} if code else {})

    def _may_write(self) -> bool:
        allowed = self.headers.get("Authorization") == f"Bearer {TOKEN}"
        if not allowed:
            self._body()
            self._fail(401)
        return allowed

    def _create(self) -> None:
        if not self._may_write():
            return
        wanted = json.loads(self._body())
        name = f"{wanted['organization']}/{wanted['name']}"
        known = name in self.server.repositories
        if not known:
            made = self.server.repositories[name] = Repository(wanted.get("visibility") == "private")
            made.commit("main", {".gitattributes": b"*.safetensors filter=lfs\n"})
        self._json({"url": f"{self.server.address}/{name}"}, 409 if known else 200)

    def _validate(self) -> None:
        content = json.loads(self._body())["content"]
        self._json({"errors": [], "warnings": []}, 200 if content.startswith("---\n") else 400)

    def _preupload(self, repository: str, branch: str) -> None:
        if self._may_write():
            files = [
                {"path": f["path"], "uploadMode": "lfs" if _is_large(f["path"]) else "regular", "shouldIgnore": False}
                for f in json.loads(self._body())["files"]
            ]
            self._json({"files": files})

    def _batch(self, repository: str) -> None:
        if self._may_write():
            objects = [
                one | {"actions": {"upload": {"href": f"{self.server.address}/store/{one['oid']}"}}}
                for one in json.loads(self._body())["objects"]
            ]
            self._json({"transfer": "basic", "objects": objects})

    def _store(self, digest: str) -> None:
        content = self._body()
        assert hashlib.sha256(content).hexdigest() == digest
        self.server.stored[digest] = content
        self._answer()

    def _commit(self, repository: str, branch: str) -> None:
        if not self._may_write():
            return
        files: Files = {}
        for line in self._body().splitlines():
            item = json.loads(line)
            value = item["value"]
            if item["key"] == "file":
                files[value["path"]] = base64.b64decode(value["content"])
            elif item["key"] == "lfsFile":
                files[value["path"]] = self.server.stored[value["oid"]]
        name = self.server.repositories[repository].commit(branch, files)
        self._json({"commitUrl": f"{self.server.address}/{repository}/commit/{name}", "commitOid": name})

    def _branch(self, repository: str, branch: str) -> None:
        if self._may_write():
            self._body()
            branches = self.server.repositories[repository].branches
            known = branch in branches
            branches.setdefault(branch, branches["main"])
            self._json({}, 409 if known else 200)

    def _info(self, repository: str, revision: str = "main") -> None:
        found = self.server.repositories.get(repository)
        if found is None:
            self._fail(404, "RepoNotFound")
            return
        commit = found.branches.get(revision, revision)
        self._json({"id": repository, "sha": commit, "private": found.private, "siblings": []})

    def _resolve(self, repository: str, revision: str, path: str) -> None:
        found = self.server.repositories.get(repository)
        if self.server.fault == "401" or (found and found.private and self.headers.get("Authorization") is None):
            self._fail(401)
        elif self.server.fault == "500":
            self._fail(500)
        elif self.server.fault == "slow":
            self.server.released.wait()
            self.close_connection = True
        elif found is None:
            self._fail(404, "RepoNotFound")
        elif not (files := found.files(revision)):
            self._fail(404, "RevisionNotFound")
        elif path not in files or self.server.fault == "404":
            self._fail(404, "EntryNotFound")
        else:
            content = files[path]
            commit = {"X-Repo-Commit": found.branches.get(revision, revision)}
            if not _is_large(path):
                self._file(content, commit | {"ETag": f'"{hashlib.sha1(content).hexdigest()}"'})
                return
            digest = hashlib.sha256(content).hexdigest()
            self.server.stored[digest] = content
            away = (
                f"http://localhost:{self.server.server_port}/store/{digest}/{path}"  # another host, as the Hub's store
            )
            linked = {"X-Linked-Etag": f'"{digest}"', "X-Linked-Size": str(len(content)), "Location": away}
            self._answer(b"", 302, commit | linked)

    def _serve_stored(self, digest: str, path: str) -> None:
        self._file(self.server.stored[digest], {"ETag": f'"{digest}"'})

    def _file(self, content: bytes, headers: dict[str, str]) -> None:
        """A file, or the part of it that Range asks for, or what the fault makes of it."""
        if self.server.fault == "tampered" and _is_large(self.path):
            content = content[:-1] + bytes([content[-1] ^ 1])
        start = int(re.fullmatch(r"bytes=(\d+)-", self.headers.get("Range", "bytes=0-")).group(1))
        if start:
            headers = headers | {"Content-Range": f"bytes {start}-{len(content) - 1}/{len(content)}"}
        headers = headers | {"Accept-Ranges": "bytes", "Content-Length": str(len(content) - start)}
        if self.command == "GET":
            self.server.starts.append((self.path, start))
        if self.command == "GET" and self.server.fault == "stalled" and _is_large(self.path):
            self._answer(content[: len(content) // 2], 200, headers)
            self.server.released.wait()
            self.close_connection = True
        elif self.command == "GET" and self._cut():
            self._answer(content[start : (start + len(content)) // 2], 206 if start else 200, headers)
            self.close_connection = True
        else:
            self._answer(content[start:], 206 if start else 200, headers)

    def _cut(self) -> bool:
        """Whether this answer is to break off."""
        first = self.path not in self.server.dropped
        self.server.dropped.add(self.path)
        return self.server.fault == "truncated" or (self.server.fault == "dropped once" and first)
