package io.netty.handler.codec;

import io.netty.buffer.ByteBuf;
import io.netty.buffer.ByteBufUtil;
import io.netty.buffer.Unpooled;
import java.io.BufferedReader;
import java.io.IOException;
import java.io.InputStreamReader;
import java.io.PrintStream;
import java.io.UncheckedIOException;
import java.util.List;

/** A stream that unglue-frame takes apart, in a process of its own: see src/main.rs. */
public final class Unglue {
    private static PrintStream requests;
    private static BufferedReader answers;
    private final String number;

    /** A stream of this framing. What follows a frame that is too long is told by {@code how}. */
    public Unglue(String how, String notation) {
        number = ask("open " + how + ' ' + notation);
    }

    /** What stands before so many bytes of data. */
    public static byte[] header(int length, String notation) {
        String answer = ask("header " + length + ' ' + notation);
        if (answer.startsWith("bad ")) {
            throw new IllegalArgumentException(answer.substring(4));
        }
        return ByteBufUtil.decodeHexDump(answer);
    }

    /** Gives the data of the frames that are there. */
    public void data(ByteBuf in, List<Object> out) {
        take(in, out, -1, true);
    }

    /** Gives all bytes of the frames that are there, without so many of the first. */
    public void raw(ByteBuf in, List<Object> out, int strip) {
        take(in, out, strip, false);
    }

    private void take(ByteBuf in, List<Object> out, int strip, boolean data) {
        String bytes = ByteBufUtil.hexDump(in);
        in.skipBytes(in.readableBytes());
        String[] answer = ask("feed " + number + ' ' + bytes).split(" ", 3);
        if (!answer[0].equals(".")) {
            for (String frame : answer[0].split(",")) {
                String[] parts = frame.split(":");
                ByteBuf raw = Unpooled.wrappedBuffer(ByteBufUtil.decodeHexDump(parts[0]));
                int from = data ? Integer.parseInt(parts[1]) : strip;
                int length = data ? Integer.parseInt(parts[2]) : raw.readableBytes() - strip;
                out.add(raw.slice(from, length));
            }
        }
        switch (answer[1]) {
            case "ok": return;
            case "toolong": throw new TooLongFrameException("a frame is too long");
            default: throw new CorruptedFrameException(answer[2]);
        }
    }

    private static synchronized String ask(String request) {
        try {
            if (requests == null) {
                Process peer = new ProcessBuilder(System.getProperty("unglue.peer")).redirectError(ProcessBuilder.Redirect.INHERIT).start();
                requests = new PrintStream(peer.getOutputStream(), true);
                answers = new BufferedReader(new InputStreamReader(peer.getInputStream()));
            }
            requests.println(request);
            String answer = answers.readLine();
            if (answer == null) {
                throw new IOException("no answer to: " + request);
            }
            return answer;
        } catch (IOException error) {
            throw new UncheckedIOException(error);
        }
    }
}
