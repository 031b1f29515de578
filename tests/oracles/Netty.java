import io.netty.buffer.ByteBuf;
import io.netty.buffer.Unpooled;
import io.netty.channel.ChannelHandler;
import io.netty.channel.embedded.EmbeddedChannel;
import io.netty.handler.codec.DelimiterBasedFrameDecoder;
import io.netty.handler.codec.FixedLengthFrameDecoder;
import io.netty.handler.codec.LengthFieldBasedFrameDecoder;
import io.netty.handler.codec.LineBasedFrameDecoder;
import io.netty.handler.codec.protobuf.ProtobufVarint32FrameDecoder;
import java.io.BufferedReader;
import java.io.InputStreamReader;
import java.io.PrintStream;
import java.nio.ByteOrder;
import java.util.StringJoiner;

/** Netty's frame decoders; see README.md. */
public class Netty {
    public static void main(String[] args) throws Exception {
        // Exceptions are answers here, not news.
        java.util.logging.LogManager.getLogManager().reset();
        BufferedReader in = new BufferedReader(new InputStreamReader(System.in));
        PrintStream out = new PrintStream(System.out, false);
        for (String line = in.readLine(); line != null; line = in.readLine()) {
            String[] parts = line.split(" ", -1);
            out.println(run(decoder(parts[0], Integer.parseInt(parts[1])), parts[2].split(",")));
        }
        out.flush();
    }

    static ChannelHandler decoder(String kind, int max) {
        switch (kind) {
            case "nline": return new LineBasedFrameDecoder(max, true, true);
            case "ndelim": return new DelimiterBasedFrameDecoder(max, true, true, Unpooled.wrappedBuffer("\r\n".getBytes()));
            case "nfixed": return new FixedLengthFrameDecoder(max);
            case "nvarint": return new ProtobufVarint32FrameDecoder();
            default:
                int width = kind.charAt(1) - '0';
                ByteOrder order = kind.endsWith("le") ? ByteOrder.LITTLE_ENDIAN : ByteOrder.BIG_ENDIAN;
                return new LengthFieldBasedFrameDecoder(order, max + width, 0, width, 0, width, true);
        }
    }

    static String run(ChannelHandler decoder, String[] chunks) {
        EmbeddedChannel channel = new EmbeddedChannel(decoder);
        String state = "ok";
        for (String chunk : chunks) {
            try {
                channel.writeInbound(Unpooled.wrappedBuffer(bytes(chunk)));
            } catch (Exception error) {
                state = "error";
                break;
            }
        }
        StringJoiner frames = new StringJoiner(",");
        int count = 0;
        for (ByteBuf frame = channel.readInbound(); frame != null; frame = channel.readInbound(), count++) {
            frames.add(frame.isReadable() ? io.netty.buffer.ByteBufUtil.hexDump(frame) : "-");
            frame.release();
        }
        return (count == 0 ? "." : frames.toString()) + " " + state;
    }

    static byte[] bytes(String hex) {
        byte[] bytes = new byte[hex.length() / 2];
        for (int i = 0; i < bytes.length; i++) {
            bytes[i] = (byte) Integer.parseInt(hex.substring(2 * i, 2 * i + 2), 16);
        }
        return bytes;
    }
}
