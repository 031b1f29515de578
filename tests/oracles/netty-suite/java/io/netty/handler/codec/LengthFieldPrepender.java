package io.netty.handler.codec;

import io.netty.buffer.ByteBuf;
import io.netty.buffer.Unpooled;
import io.netty.channel.ChannelHandlerContext;
import java.nio.ByteOrder;
import java.util.List;

/** Netty's parameters as a layout. */
public class LengthFieldPrepender extends MessageToMessageEncoder<ByteBuf> {
    private final String layout;

    public LengthFieldPrepender(int width) {
        this(width, false);
    }

    public LengthFieldPrepender(int width, boolean countsItself) {
        this(width, 0, countsItself);
    }

    public LengthFieldPrepender(int width, int adjust) {
        this(width, adjust, false);
    }

    public LengthFieldPrepender(int width, int adjust, boolean countsItself) {
        this(ByteOrder.BIG_ENDIAN, width, adjust, countsItself);
    }

    public LengthFieldPrepender(ByteOrder order, int width, int adjust, boolean countsItself) {
        int less = -adjust - (countsItself ? width : 0);
        layout = "len:" + LengthFieldBasedFrameDecoder.number(order, width) + " data[len" + LengthFieldBasedFrameDecoder.plus(less) + ']';
    }

    @Override
    protected void encode(ChannelHandlerContext ctx, ByteBuf data, List<Object> out) {
        out.add(Unpooled.wrappedBuffer(Unglue.header(data.readableBytes(), layout)));
        out.add(data.retain());
    }
}
