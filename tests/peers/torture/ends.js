// The two ends of a TCP connection, for programs that are a server or a client of one protocol.

const net = require('node:net');

// Runs FILE server|client broken|right PORT; both are called with a socket and whether to be right.
exports.run = (server, client, options = () => ({})) => {
  const [role, kind, port] = process.argv.slice(2);
  const right = kind === 'right';
  if (role === 'server') {
    net
      .createServer((socket) => {
        socket.on('error', () => socket.destroy());
        server(socket, right);
      })
      .listen(Number(port), '127.0.0.1');
  } else {
    const socket = net.connect({ port: Number(port), host: '127.0.0.1', ...options(right) });
    socket.on('error', (error) => {
      console.log(error.code);
      process.exit(1);
    });
    client(socket, right);
  }
};
