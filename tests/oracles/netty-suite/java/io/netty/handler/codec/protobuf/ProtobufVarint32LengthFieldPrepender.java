package io.netty.handler.codec.protobuf;

import io.netty.buffer.ByteBuf;
import io.netty.channel.ChannelHandlerContext;
import io.netty.handler.codec.MessageToByteEncoder;
import io.netty.handler.codec.Unglue;

public class ProtobufVarint32LengthFieldPrepender extends MessageToByteEncoder<ByteBuf> {
    private static final String NOTATION = "varint(5, max=4G)";

    @Override
    protected void encode(ChannelHandlerContext ctx, ByteBuf data, ByteBuf out) {
        out.writeBytes(Unglue.header(data.readableBytes(), NOTATION));
        out.writeBytes(data);
    }

    static int computeRawVarint32Size(int value) {
        return Unglue.header(value, NOTATION).length;
    }
}
