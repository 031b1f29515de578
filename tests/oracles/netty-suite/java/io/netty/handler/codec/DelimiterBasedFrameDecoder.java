package io.netty.handler.codec;

import io.netty.buffer.ByteBuf;
import io.netty.buffer.ByteBufUtil;
import io.netty.channel.ChannelHandlerContext;
import java.util.List;

public class DelimiterBasedFrameDecoder extends ByteToMessageDecoder {
    private final Unglue stream;
    private final boolean strip;

    public DelimiterBasedFrameDecoder(int max, ByteBuf... delimiters) {
        this(max, true, delimiters);
    }

    public DelimiterBasedFrameDecoder(int max, boolean strip, ByteBuf... delimiters) {
        this(max, strip, true, delimiters);
    }

    public DelimiterBasedFrameDecoder(int max, boolean strip, boolean failFast, ByteBuf... delimiters) {
        StringBuilder notation = new StringBuilder("delim(");
        for (ByteBuf delimiter : delimiters) {
            String hex = ByteBufUtil.hexDump(delimiter).replaceAll("..", "\\\\x$0");
            notation.append('"').append(hex).append("\", ");
        }
        notation.append("max=").append(max).append(failFast ? ")" : ", toolong=skip)");
        String last = ByteBufUtil.hexDump(delimiters[delimiters.length - 1]);
        stream = new Unglue(failFast ? "fast:x" + last : "slow", notation.toString());
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
