// What the photo editor and the server say to each other; part of editor.js, which comes before.

function push(message) {
  if (!scene) return;
  const last = queue.at(-1);
  if (last && last.stroke !== undefined && last.stroke === message.stroke) {
    if (message.points) {
      last.points.push(...message.points);
      while (last.points.length > batch) last.points.splice(Math.floor((last.points.length - 2) / 2), 1);
    } else last.value = message.value;
  } else queue.push(message);
  send();
}

function send() {
  if (sent || !queue.length) return;
  const message = queue.shift();
  sent = { reply: ++replies, at: performance.now(), points: message.points?.length ?? 0 };
  const mine = sent, session = scene.session;
  const lost = () => {
    if (sent !== mine) return;
    sent = stroke = null;
    queue = [];
    say("No answer came. Check the connection, then go on from what is shown.", true);
  };
  setTimeout(lost, PATIENCE);
  server.move(JSON.stringify({ live: false, hood: hood.open && !message.live, ...message, session, reply: sent.reply }))
    .then((said) => scene.session === session && show(JSON.parse(said)), lost);
}

function answered(said) {
  if (!sent || said.reply !== sent.reply) return;
  if (sent.points && said.took) {
    const work = Math.max(5, said.took / sent.points);
    batch = Math.max(1, Math.min(6, Math.round((performance.now() - sent.at - said.took) / work)));
  }
  sent = null;
  if (!queue.length && stroke && cursor) paintAt(stroke.x, stroke.y); // the brush goes on where it rests
  send();
}

async function picture(url) {
  const loaded = new Image();
  loaded.src = url;
  await loaded.decode();
  return loaded;
}

async function show(said) {
  if (said.later) return setTimeout(() => trigger("click"), 700);
  element.closest("gradio-app")?.querySelector(".csi-opening")?.remove();
  if (said.trouble && !said.session) {
    queue = [];
    stroke = null;
    answered(said);
    return say(said.trouble, true);
  }
  const load = ++loads;
  if (said.opened) {
    queue = [];
    sent = stroke = cursor = null;
  }
  if (said.trouble) stroke = null;
  answered(said); // the next message goes on its way while the picture is made ready
  const [whole, base, edited] = await Promise.all(
    [said.original, said.view, said.square].map((url) => (url ? picture(url) : null)),
  );
  if (base) view = base;
  if (said.opened) first = whole ?? base;
  if (load < shown && !said.opened) return;
  shown = load;
  if (edited) square = edited;
  scene = { ...scene, ...said };
  if (said.opened) {
    moved = false;
    sliders();
    find(".csi-editor").classList.add("csi-ready");
  }
  for (const name of ["undo", "redo"]) find(`[data-act=${name}]`).disabled = !scene[`${name}able`];
  for (const name of ["reset", "commit"]) find(`[data-act=${name}]`).disabled = !scene.edited;
  if (said.hood) showHood(said.hood);
  if (!queue.length && !dragged) setSliders();
  if (said.trouble || said.opened) say(said.trouble || said.note || HELP, Boolean(said.trouble));
  if (said.opened) {
    fit();
    zoomOn(frameSide() < 0.7 * Math.min(...scene.size));
  }
  showState();
}

function showHood(pictures) {
  find(".csi-views").replaceChildren(
    ...Object.entries(pictures).map(([name, url]) => {
      const figure = document.createElement("figure"), image = new Image();
      image.src = url;
      image.alt = "";
      figure.append(image, VIEWS[name] ?? name);
      return figure;
    }),
  );
}

function sliders() {
  const heading = document.createElement("h2");
  heading.textContent = "Change what the face shows";
  const rows = scene.controls.map(({ name, label, help, minimum, maximum, step }) => {
    const row = document.createElement("label"), input = document.createElement("input");
    row.title = help;
    Object.assign(input, { type: "range", min: minimum, max: maximum, step, value: 0 });
    input.dataset.latent = name;
    input.addEventListener("input", () => {
      if (dragged !== input) strokes++;
      dragged = input;
      row.querySelector("output").value = input.value;
      push({ act: "set", name, value: Number(input.value), stroke: strokes, live: true });
    });
    input.addEventListener("change", () => {
      dragged = null;
      strokes++;
      push({ act: "look" });
    });
    row.append(label[0].toUpperCase() + label.slice(1), document.createElement("output"), input);
    return row;
  });
  find(".csi-latents").replaceChildren(...(rows.length ? [heading, ...rows] : []));
}

function setSliders() {
  for (const input of element.querySelectorAll("[data-latent]")) {
    const value = String(scene.values[input.dataset.latent] ?? 0);
    input.value = value;
    input.previousElementSibling.value = value;
  }
}
