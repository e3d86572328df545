// Run once by the image's entrypoint, while the data directory is new: an account that reaches the chat database alone.
// readWrite keeps the data, dbAdmin changes validators when the server migrates.
db.getSiblingDB("chat").createUser({
  user: "chat",
  pwd: process.env.MONGO_PASSWORD,
  roles: [
    { role: "readWrite", db: "chat" },
    { role: "dbAdmin", db: "chat" },
  ],
});
