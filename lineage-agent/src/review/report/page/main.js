// Draws the page, what is seen first at first.

drawVerdict();
drawFacts();
if (events.count > 0) {
  drawHighlights();
  drawDecisions();
  drawTimeline();
  drawTree();
  drawGraph();
  drawFiles();
  drawNetwork();
  drawSearch();
  drawPaper();
} else {
  // Sections that said "nothing" would speak of what is not here.
  document.querySelectorAll("#facts ~ section, .bar nav, .find").forEach((part) => (part.hidden = true));
}
document.documentElement.dataset.ready = "";
