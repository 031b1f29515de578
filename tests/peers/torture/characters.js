// A client that counts characters where the length announces bytes.

const { run } = require('./ends.js');

const TEXTS = ['naïve café', 'Übergrößenträger'];

function server(socket) {
  let count = 0;
  socket.on('data', (chunk) => {
    for (const _ of chunk.toString('latin1').matchAll(/\n/g)) {
      const text = Buffer.from(TEXTS[count++ % TEXTS.length]);
      socket.write(Buffer.concat([Buffer.from(`${text.length}\n`), text]));
    }
  });
}

function client(socket, right) {
  let received = Buffer.alloc(0);
  let answers = 0;
  socket.write('next\n');
  socket.on('data', (chunk) => {
    const first = received.length === 0;
    received = Buffer.concat([received, chunk]);
    const at = received.indexOf('\n');
    if (at < 0) return;
    const length = Number(received.subarray(0, at).toString());
    const body = received.subarray(at + 1);
    // One read holds nearly always all of it.
    const have = first || right ? body.length : body.toString().length;
    if (have < length) return;
    console.log(body.subarray(0, length).toString());
    received = Buffer.alloc(0);
    answers += 1;
    if (answers === TEXTS.length) socket.end();
    else socket.write('next\n');
  });
}

run(server, client);
