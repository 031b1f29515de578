package io.netty.handler.codec;

import io.netty.buffer.ByteBuf;
import io.netty.channel.ChannelHandlerContext;
import java.nio.ByteOrder;
import java.util.List;

/** Netty's parameters as a layout. */
public class LengthFieldBasedFrameDecoder extends ByteToMessageDecoder {
    private final Unglue stream;
    private final int strip;

    public LengthFieldBasedFrameDecoder(int max, int offset, int width) {
        this(max, offset, width, 0, 0);
    }

    public LengthFieldBasedFrameDecoder(int max, int offset, int width, int adjust, int strip) {
        this(max, offset, width, adjust, strip, true);
    }

    public LengthFieldBasedFrameDecoder(int max, int offset, int width, int adjust, int strip, boolean failFast) {
        this(ByteOrder.BIG_ENDIAN, max, offset, width, adjust, strip, failFast);
    }

    public LengthFieldBasedFrameDecoder(ByteOrder order, int max, int offset, int width, int adjust, int strip, boolean failFast) {
        int head = offset + width;
        String layout = (offset > 0 ? "_*" + offset + ' ' : "") + "len:" + number(order, width) + " data[len" + plus(adjust) + ']';
        String options = " (max=" + (max - head) + (failFast ? ")" : ", toolong=skip)");
        stream = new Unglue(failFast ? "fast:" + head : "slow", layout + options);
        this.strip = strip;
    }

    @Override
    protected void decode(ChannelHandlerContext ctx, ByteBuf in, List<Object> out) {
        stream.raw(in, out, strip);
    }

    static String number(ByteOrder order, int width) {
        return "u" + 8 * width + (width == 1 ? "" : order == ByteOrder.LITTLE_ENDIAN ? "le" : "be");
    }

    static String plus(int adjust) {
        return adjust == 0 ? "" : adjust > 0 ? "+" + adjust : Integer.toString(adjust);
    }
}
