// A client that decodes each read alone.

const { StringDecoder } = require('node:string_decoder');
const { run } = require('./ends.js');

function server(socket) {
  socket.on('data', (chunk) => {
    if (chunk.includes('\n')) socket.end('Grüße aus Köln: 你好，世界\n');
  });
}

function client(socket, right) {
  const decoder = new StringDecoder('utf8');
  let text = '';
  socket.write('greet\n');
  socket.on('data', (chunk) => {
    text += right ? decoder.write(chunk) : chunk.toString('utf8');
  });
  socket.on('end', () => {
    process.stdout.write(text);
    socket.end();
  });
}

run(server, client);
