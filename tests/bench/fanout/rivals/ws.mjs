// A chat room with `ws` and Redis pub/sub, as the documentation of `ws` broadcasts: node ws.mjs PORT REDIS_URL

import { Redis } from "ioredis";
import WebSocket, { WebSocketServer } from "ws";

const [port, redisUrl] = process.argv.slice(2);
const publisher = new Redis(redisUrl);
const subscriber = new Redis(redisUrl);

const wss = new WebSocketServer({ host: "127.0.0.1", port: Number(port) });

wss.on("connection", (socket) => {
  socket.on("error", console.error);
  socket.on("message", (data) => publisher.publish("room", data));
});

subscriber.on("message", (_channel, text) => {
  for (const client of wss.clients) {
    if (client.readyState === WebSocket.OPEN) client.send(text);
  }
});
await subscriber.subscribe("room");
