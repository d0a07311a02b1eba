"""The style sheet of the page of a diagnosis: light and dark, wide and narrow, no font or file from elsewhere."""

SHEET = """
:root {
  color-scheme: light dark;
  --paper: #ffffff; --ground: #f4f6f8; --ink: #1c2430; --faint: #5b6675; --rule: #dde3ea; --shade: #e6eef4;
  --blue: #0072b2; --orange: #b94f00; --green: #00815c; --violet: #b04d86; --red: #b3261e; --grey: #5b6675;
}
@media (prefers-color-scheme: dark) {
  :root {
    --paper: #1a2029; --ground: #11151b; --ink: #e6eaf0; --faint: #9aa6b5; --rule: #2f3945; --shade: #26313d;
    --blue: #5ab4ea; --orange: #ff9a4d; --green: #3fc79a; --violet: #e39bc6; --red: #ff8a80; --grey: #9aa6b5;
  }
}
* { box-sizing: border-box; }
html { -webkit-text-size-adjust: 100%; }
body {
  margin: 0; background: var(--ground); color: var(--ink); overflow-wrap: anywhere;
  font: 16px/1.5 system-ui, -apple-system, "Segoe UI", Roboto, "Helvetica Neue", Arial, sans-serif;
}
main { max-width: 1120px; margin: 0 auto; padding: 24px 20px 56px; }
header p { margin: 0; color: var(--faint); font-size: 14px; }
header .name { color: var(--ink); font-weight: 600; letter-spacing: .02em; }
h1 { font-size: 26px; line-height: 1.25; margin: 10px 0 0; font-weight: 650; text-wrap: balance; }
.lead { font-size: 17px; margin: 6px 0 0; }
h2 { font-size: 19px; line-height: 1.3; margin: 40px 0 12px; font-weight: 650; }
h3 { font-size: 16px; line-height: 1.35; margin: 0 0 4px; font-weight: 650; }
p { margin: 0 0 8px; }
ul { margin: 0; padding-left: 20px; }
li { margin: 4px 0; }
.card { background: var(--paper); border: 1px solid var(--rule); border-radius: 10px; padding: 18px 20px; }
.verdict { margin-top: 18px; border-left: 6px solid var(--tone); padding: 20px 24px 22px; }
.badge {
  display: inline-block; padding: 2px 10px; border-radius: 999px; font-size: 13px; font-weight: 600; line-height: 1.5;
  color: var(--tone); border: 1px solid currentColor; white-space: nowrap;
}
.verdict .badge { text-transform: uppercase; letter-spacing: .05em; }
.detail { color: var(--faint); font-size: 14px; margin-left: 8px; }
.reasons { margin-top: 16px; color: var(--ink); }
.converged, .ok, .confirmed, .predicted { --tone: var(--green); }
.oscillating, .warning, .estimate { --tone: var(--orange); }
.collapsed { --tone: var(--violet); }
.diverged, .error, .refuted { --tone: var(--red); }
.uninformative, .undecided, .skipped, .inconclusive, .not-verified, .unvalidated { --tone: var(--grey); }
.tiles { display: grid; grid-template-columns: repeat(auto-fit, minmax(150px, 1fr)); gap: 14px 24px; margin: 18px 0 0; }
.tiles div { border-top: 1px solid var(--rule); padding-top: 8px; }
.tiles dt { font-size: 13px; color: var(--faint); }
.tiles dd { margin: 0; font-size: 20px; font-weight: 600; line-height: 1.3; font-variant-numeric: tabular-nums; }
.tiles dd small { display: block; font-size: 13px; font-weight: 400; color: var(--faint); line-height: 1.4; }
.grid { display: grid; grid-template-columns: repeat(2, minmax(0, 1fr)); gap: 18px; }
.advice { border-left: 4px solid var(--tone); }
.advice .badge { margin-top: 4px; }
.advice p { margin: 6px 0; }
.aside { color: var(--faint); font-size: 14px; }
figure { margin: 0; min-width: 0; display: flex; flex-direction: column; }
figure details { margin-top: auto; }
figcaption { color: var(--faint); font-size: 14px; line-height: 1.45; margin: 8px 0 10px; }
svg { display: block; width: 100%; height: auto; margin-top: 6px; }
svg * { stroke-linejoin: round; stroke-linecap: butt; }
svg text { font-family: inherit !important; }
details { border-top: 1px solid var(--rule); padding-top: 8px; font-size: 14px; }
.card > details:first-child { border-top: 0; padding-top: 0; }
summary { cursor: pointer; color: var(--blue); font-weight: 500; padding: 4px 0; }
summary:focus-visible { outline: 2px solid var(--blue); outline-offset: 2px; border-radius: 4px; }
.scroll { overflow-x: auto; max-width: 100%; -webkit-overflow-scrolling: touch; }
.scroll.tall { max-height: 340px; overflow-y: auto; }
table { border-collapse: collapse; width: 100%; font-size: 14px; line-height: 1.4; font-variant-numeric: tabular-nums; }
th, td { text-align: left; padding: 6px 14px 6px 0; border-bottom: 1px solid var(--rule); vertical-align: top;
  overflow-wrap: normal; }
th { color: var(--faint); font-weight: 500; white-space: nowrap; }
.tall th { position: sticky; top: 0; background: var(--paper); }
td.short { white-space: nowrap; }
td.long { min-width: 220px; overflow-wrap: anywhere; }
tr:last-child td { border-bottom: 0; }
footer { margin-top: 40px; color: var(--faint); font-size: 14px; }
@media (max-width: 820px) {
  .grid { grid-template-columns: minmax(0, 1fr); }
}
@media (max-width: 480px) {
  main { padding: 14px 12px 40px; }
  h1 { font-size: 21px; }
  h2 { font-size: 18px; margin-top: 30px; }
  .card { padding: 14px 14px; }
  .verdict { padding: 16px 16px 18px; }
  .tiles { grid-template-columns: repeat(2, minmax(0, 1fr)); gap: 12px 16px; }
  .tiles dd { font-size: 18px; }
}
@media print { body { background: none; } .card { break-inside: avoid; } }
"""
