// Threads that open files, rename them and talk to each other and to a server.
const { Worker, isMainThread, parentPort, workerData } = require("node:worker_threads");
const fs = require("node:fs");
const net = require("node:net");

if (isMainThread) {
  const server = net.createServer((socket) => socket.pipe(socket));
  server.listen(0, "127.0.0.1", () => {
    let running = 4;
    for (let i = 0; i < 4; i++) {
      const worker = new Worker(__filename, { workerData: { i, port: server.address().port } });
      worker.on("message", (text) => fs.writeFileSync(`said-${i}`, text));
      worker.on("error", (error) => { throw error; });
      worker.on("exit", () => { if (--running === 0) server.close(); });
    }
  });
} else {
  const { i, port } = workerData;
  fs.promises.writeFile(`part-${i}`, "x".repeat(1000))
    .then(() => fs.promises.rename(`part-${i}`, `whole-${i}`))
    .then(() => fs.promises.unlink("not-there").catch(() => {}))
    .then(() => {
      const socket = net.connect(port, "127.0.0.1", () => socket.end("hello"));
      socket.on("data", (data) => parentPort.postMessage(String(data)));
    });
}
