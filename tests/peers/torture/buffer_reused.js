// A client that keeps a view of its read buffer, which the next read fills again.

const { run } = require('./ends.js');

function server(socket) {
  let rest = '';
  socket.on('data', (chunk) => {
    rest += chunk.toString('latin1');
    const lines = rest.split('\n');
    rest = lines.pop();
    for (const line of lines) socket.write(`${line} costs ${line.length * 7} crowns;`);
  });
}

let take = () => {};

function client(socket) {
  socket.write('bread\n');
  let answers = 0;
  take = (answer) => {
    console.log(answer);
    answers += 1;
    if (answers === 2) socket.end();
    else socket.write('marmalade\n');
  };
}

const options = (right) => {
  let pieces = [];
  return {
    onread: {
      buffer: Buffer.alloc(4096),
      callback(length, buffer) {
        const view = buffer.subarray(0, length);
        pieces.push(right ? Buffer.from(view) : view);
        if (view[length - 1] !== 0x3b) return true;
        const answer = Buffer.concat(pieces).toString();
        pieces = [];
        take(answer);
        return true;
      },
    },
  };
};

run(server, client, options);
