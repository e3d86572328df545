// A server of the chat API that is not ours: Node, socket.io and a journal in a directory. It claims the profiles `core` and `transport`.
//
//     npm ci && PORT=3000 DATA_DIR=data node server.mjs
//
// It is judged by running `chat-conformance` in this directory. conformance.toml says how it is started and what it claims; known.toml lists
// the two faults that it is known to have. What the contract leaves open it does otherwise than the reference server: ids, cursors, texts,
// the order of who is online, tokens that are no JWT, `seq` that is always null, `RateLimit` in the form of express-rate-limit.
//
// settings   what the environment says          presence   who is there
// store      memory and the journal             chats      two users and what they wrote
// refusal    errors and checks of fields        messages   sending, reading, changing
// lists      pages and cursors                  http       the calls
// limits     how often                          sockets    the events
// sessions   tokens                             wire       from the former to the sockets
// accounts   users, passwords, profiles

import { createServer } from 'node:http';
import { host, port } from './settings.mjs';
import { serve } from './http.mjs';
import { attach } from './sockets.mjs';

const server = createServer(serve);
attach(server);
server.listen(port, host, () => console.log(`listens at http://${host}:${server.address().port}`));
