"""Colours, fonts and the few rules of the layout. System fonts only: the page asks no other host for anything."""

from __future__ import annotations

import gradio as gr

from . import painter

THEME = gr.themes.Base(
    primary_hue="indigo",
    secondary_hue="indigo",
    neutral_hue="zinc",
    radius_size="lg",
    font=["system-ui", "-apple-system", "Segoe UI", "Roboto", "sans-serif"],
    font_mono=["ui-monospace", "Menlo", "Consolas", "monospace"],
).set(
    body_background_fill="*neutral_50",
    body_background_fill_dark="*neutral_950",
    block_background_fill="white",
    block_background_fill_dark="*neutral_900",
    block_border_width="1px",
    body_text_color_subdued="*neutral_600",
    body_text_color_subdued_dark="*neutral_400",
    block_info_text_color="*neutral_600",
    block_info_text_color_dark="*neutral_400",
    block_label_background_fill="*neutral_100",
    block_label_background_fill_dark="*neutral_800",
    link_text_color="*primary_600",
    link_text_color_dark="*primary_300",
    button_primary_background_fill="*primary_600",
    button_primary_background_fill_hover="*primary_700",
    button_primary_background_fill_dark="*primary_600",
    button_primary_background_fill_hover_dark="*primary_500",
    button_primary_text_color="white",
    button_primary_text_color_dark="white",
)

CSS = (
    """
.gradio-container { max-width: 1240px !important; margin: 0 auto !important; }
.html-container { padding: 0 !important; }
#title h1 { font-size: 1.9rem; line-height: 1.2; margin: 0 0 .35rem; letter-spacing: -.02em; }
#title p { font-size: 1.05rem; color: var(--body-text-color-subdued); margin: 0; max-width: 46rem; }
#board { display: grid !important; grid-template-columns: repeat(2, minmax(0, 1fr));
  grid-template-areas: "subject results" "steer results"; grid-template-rows: auto 1fr; gap: 24px; align-items: start; }
#board > * { min-width: 0 !important; width: 100%; }
#subject { grid-area: subject; } #results { grid-area: results; } #steer { grid-area: steer; }
#steer .form:has([id^="slider-"], [id^="option-"]) { display: grid !important;
  grid-template-columns: repeat(2, minmax(0, 1fr)); }
#steer .form { background: var(--block-background-fill); }
#steer .form > * { min-width: 0 !important; }
:is(#main, #more) :is(.form, .block) { overflow: visible !important; }
:is(#main, #more) .block { position: relative; }
:is(#main, #more) .info-text { display: none; position: absolute; z-index: 5; left: 8px; right: 8px; 
  bottom: calc(100% - 8px);
  padding: 6px 10px; font-size: .8rem; border-radius: var(--radius-md); background: var(--block-background-fill);
  border: 1px solid var(--border-color-primary); box-shadow: 0 2px 10px rgba(9, 9, 11, .18); }
:is(#main, #more) .block:is(:hover, :focus-within) .info-text { display: block; }
#pair { display: grid !important; grid-template-columns: 210px minmax(0, 1fr); gap: 16px; align-items: start; }
#pair > * { min-width: 0 !important; }
#place .form { display: grid !important; grid-template-columns: repeat(4, minmax(0, 1fr)); width: 100%; }
#place .form > * { min-width: 0 !important; }
#run button, #follow button { padding-inline: 8px; white-space: nowrap; }
#file { position: absolute; width: 1px; height: 1px; overflow: hidden; clip-path: inset(50%); }
.csi-tile { margin: 0; min-width: 0; }
.csi-tile img { display: block; width: 100%; height: auto; aspect-ratio: 1; margin: 0;
  border-radius: var(--radius-lg); }
.csi-crisp.csi-tiles img, .csi-crisp.csi-frames img { image-rendering: pixelated; }
.csi-result { display: grid; gap: 12px; }
.csi-big { margin: 0; min-width: 0; }
.csi-wipe { position: relative; width: fit-content; min-width: min(384px, 100%); max-width: 100%; margin: 0 auto;
  overflow: hidden; border-radius: var(--radius-lg); }
.csi-wipe img { display: block; margin: 0; max-width: 100%; width: auto; height: auto; max-height: 600px;
  min-width: 100%; object-fit: contain; border-radius: 0; }
.csi-frames .csi-wipe img { width: 480px; }
.csi-wipe .csi-after { position: absolute; inset: 0; width: 100% !important; height: 100%; max-height: none;
  clip-path: inset(0 0 0 var(--cut)); }
.csi-wipe i { position: absolute; top: 0; bottom: 0; left: clamp(18px, var(--cut), calc(100% - 18px)); width: 3px;
  margin-left: -1.5px; background: white;
  box-shadow: 0 0 0 1px rgba(9, 9, 11, .6); pointer-events: none; }
.csi-wipe i::after { content: "\\2039\\203A"; position: absolute; top: 50%; left: 50%; width: 34px; height: 34px;
  transform: translate(-50%, -50%); border-radius: 50%; display: grid; place-items: center; font: 600 15px/1 system-ui;
  color: #18181b; background: white; box-shadow: 0 0 0 1px rgba(9, 9, 11, .6); }
.csi-wipe input { position: absolute; inset: 0; width: 100%; height: 100%; margin: 0; opacity: 0; cursor: ew-resize;
  touch-action: pan-y; }
.csi-wipe:has(input:focus-visible) { outline: 3px solid var(--color-accent); outline-offset: 2px; }
.csi-big figcaption { display: flex; flex-wrap: wrap; justify-content: space-between; gap: 2px 12px; margin-top: 6px;
  font-size: .85rem; color: var(--body-text-color-subdued); }
.csi-strip { display: grid; gap: 8px; grid-template-columns: repeat(auto-fill, minmax(92px, 1fr)); }
.csi-strip button { padding: 4px; border: 2px solid var(--border-color-primary); border-radius: var(--radius-lg);
  background: var(--block-background-fill); color: var(--body-text-color-subdued); font-size: .78rem; cursor: pointer; }
.csi-strip button[aria-pressed="true"] { border-color: var(--color-accent); color: var(--body-text-color); }
.csi-sheet { overflow-x: auto; }
.csi-sheet img { max-width: none; height: auto; margin: 0 0 6px; border-radius: var(--radius-md); }
.csi-sort { display: flex; gap: 6px; align-items: center; font-size: .85rem; color: var(--body-text-color-subdued); }
.csi-sort input { appearance: auto; width: 1rem; height: 1rem; margin: 0; accent-color: var(--color-accent); }
.csi-sort:has(:checked) + .csi-strip button { order: var(--rank); }
.csi-strip img { display: block; width: 100%; aspect-ratio: 1; margin: 0 0 3px; object-fit: contain; }
.csi-strip button:focus-visible, .csi-examples button:focus-visible { outline: 3px solid var(--color-accent);
  outline-offset: 2px; }
.csi-examples { display: flex; gap: 8px; overflow-x: auto; padding: 4px 4px 8px; scroll-snap-type: x proximity; }
.csi-examples button { flex: 0 0 170px; scroll-snap-align: start; display: flex; align-items: center; gap: 10px;
  padding: 4px 8px 4px 4px; font-size: .85rem;
  text-align: left; color: var(--body-text-color); background: var(--block-background-fill); cursor: pointer;
  border: 1px solid var(--border-color-primary); border-radius: var(--radius-lg); }
.csi-examples button:hover { border-color: var(--color-accent); }
.csi-examples img { width: 48px; height: 48px; margin: 0; border-radius: var(--radius-md); }
.csi-tile figcaption { display: flex; flex-wrap: wrap; justify-content: space-between; gap: 2px 12px; margin-top: 6px;
  font-size: .85rem; color: var(--body-text-color-subdued); }
.csi-tiles { display: grid; gap: 16px; grid-template-columns: repeat(auto-fill, minmax(min(100%, 240px), 1fr)); }
.csi-tiles .csi-tile { max-width: 400px; }
.csi-caption { display: flex; flex-direction: column; margin-top: 6px; font-size: .85rem; line-height: 1.35;
  color: var(--body-text-color-subdued); overflow-wrap: anywhere; }
.csi-caption b { color: var(--body-text-color); }
.csi-compared { gap: 12px; grid-template-columns: repeat(auto-fill, minmax(min(44%, 170px), 1fr)); }
.csi-compared button { padding: 0; border: 0; background: none; text-align: left; font: inherit; cursor: pointer; }
.csi-compared [aria-pressed="true"] img { outline: 3px solid var(--color-accent); }
.csi-compared button:focus-visible { outline: 3px solid var(--color-accent); outline-offset: 2px; }
.csi-hold { aspect-ratio: 1; border: 2px dashed var(--border-color-primary); border-radius: var(--radius-lg); }
.csi-beside { display: flex; flex-wrap: wrap; gap: 8px; margin-top: 8px; }
.csi-beside figure { margin: 0; width: 72px; font-size: .75rem; line-height: 1.2;
  color: var(--body-text-color-subdued); }
.csi-beside img { display: block; width: 100%; height: auto; margin: 0 0 3px; border-radius: var(--radius-md); }
.csi-crisp .csi-beside img { image-rendering: pixelated; }
.csi-empty { display: grid; place-content: center; gap: 4px; text-align: center; min-height: 300px; padding: 24px;
  border: 2px dashed var(--border-color-primary); border-radius: var(--radius-lg);
  color: var(--body-text-color-subdued); }
.csi-empty p { margin: 0; }
.csi-status { display: flex; justify-content: space-between; gap: 12px; font-size: .95rem; }
.csi-bar { height: 6px; margin-top: 8px; border-radius: 3px; overflow: hidden;
  background: var(--border-color-primary); }
.csi-bar i { display: block; height: 100%; background: var(--color-accent); transition: width .15s linear; }
.csi-trouble { padding: 10px 12px; border-radius: var(--radius-lg); font-size: .95rem; overflow-wrap: anywhere;
  color: #991b1b; background: #fef2f2; border: 1px solid #fecaca; }
.dark .csi-trouble { color: #fecaca; background: #450a0a; border-color: #7f1d1d; }
.csi-share { font-size: .85rem; color: var(--body-text-color-subdued); }
.csi-share summary { cursor: pointer; }
.csi-share label { display: block; margin-top: 8px; }
.csi-share label span { display: flex; gap: 6px; }
.csi-share input { flex: 1; min-width: 0; padding: 4px 8px; font-size: .8rem; color: var(--body-text-color);
  background: var(--block-background-fill); border: 1px solid var(--border-color-primary);
  border-radius: var(--radius-md); }
.csi-share button { padding: 4px 10px; border: 1px solid var(--border-color-primary); border-radius: var(--radius-md);
  background: var(--block-background-fill); color: var(--body-text-color); cursor: pointer; }
#note .csi-status span { font-size: .9rem; color: var(--body-text-color-subdued); }
#colophon { margin-top: 12px; }
#colophon p, #hood-text p { font-size: .9rem; color: var(--body-text-color-subdued); margin: 0 0 .4rem;
  max-width: 62rem; }
.dark input[type="range"] { --neutral-200: var(--neutral-700); }
input[type="range"]::-webkit-slider-thumb { border: 2px solid var(--slider-color) !important; }
input[type="range"]::-moz-range-thumb { border: 2px solid var(--slider-color) !important; }
@media (max-width: 860px) {
  #board { grid-template-columns: minmax(0, 1fr); grid-template-rows: none;
    grid-template-areas: "subject" "results" "steer"; }
  #title h1 { font-size: 1.5rem; }
  #results .row { gap: 8px; }
  .csi-empty { min-height: 160px; }
}
@media (max-width: 560px) {
  .csi-tiles { grid-template-columns: 1fr 1fr; gap: 10px; }
  .csi-tiles:has(> :only-child) { grid-template-columns: 1fr; }
  #pair { grid-template-columns: 130px minmax(0, 1fr); gap: 12px; }
  #place .form { grid-template-columns: 1fr 1fr; }
  #steer .form:has([id^="slider-"], [id^="option-"]) { grid-template-columns: minmax(0, 1fr); }
  #run button { font-size: .95rem; }
}
"""
    + painter.CSS
)

# In a frame of someone else's page, with ?embed=1 in the address, the page is compact. Not among the rules above, since
# Gradio confines those to its own container.
EMBEDDED = """<script>
if (new URLSearchParams(location.search).has("embed")) document.documentElement.classList.add("csi-embed");
</script>
<style>
.csi-embed :is(#title, #hood, #colophon, #examples, #place, #follow, #reset, footer, .csi-beside, .csi-sort),
.csi-embed #results > #pair#pair, .csi-embed #results > .row:has(#where) { display: none !important; }
.csi-embed .gradio-container { padding: 8px !important; }
@media (min-width: 600px) {
  .csi-embed #board { gap: 12px !important; grid-template-columns: repeat(2, minmax(0, 1fr)) !important;
    grid-template-areas: "subject results" "steer steer" !important; }
}
</style>"""
