package io.netty.handler.codec;

import io.netty.buffer.ByteBuf;
import io.netty.channel.ChannelHandlerContext;
import java.util.List;

public class LineBasedFrameDecoder extends ByteToMessageDecoder {
    private final Unglue stream;
    private final boolean strip;

    public LineBasedFrameDecoder(int max) {
        this(max, true, false);
    }

    public LineBasedFrameDecoder(int max, boolean strip, boolean failFast) {
        stream = new Unglue(failFast ? "fast:x0a" : "slow", "lines(max=" + max + (failFast ? ")" : ", toolong=skip)"));
        this.strip = strip;
    }

    @Override
    protected void decode(ChannelHandlerContext ctx, ByteBuf in, List<Object> out) {
        if (strip) {
            stream.data(in, out);
        } else {
            stream.raw(in, out, 0);
        }
    }
}
