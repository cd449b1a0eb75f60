// Draws the page, what is seen first at first.

drawVerdict();
drawFacts();
drawDecisions();
drawTimeline();
drawTree();
drawGraph();
drawFiles();
drawNetwork();
drawSearch();
drawPaper();
document.documentElement.dataset.ready = "";
