// The chat server of the Socket.IO guide with its Redis adapter: node socketio.mjs PORT REDIS_URL

import { createServer } from "node:http";
import { createAdapter } from "@socket.io/redis-adapter";
import { createClient } from "redis";
import { Server } from "socket.io";

const [port, redisUrl] = process.argv.slice(2);

const pubClient = createClient({ url: redisUrl });
const subClient = pubClient.duplicate();
await Promise.all([pubClient.connect(), subClient.connect()]);

const server = createServer();
const io = new Server(server, { transports: ["websocket"], adapter: createAdapter(pubClient, subClient) });

io.on("connection", (socket) => {
  socket.join("room");
  socket.on("chat message", (message) => {
    io.to("room").emit("chat message", message);
  });
});

server.listen(Number(port), "127.0.0.1");
