package io.netty.handler.codec.protobuf;

import io.netty.buffer.ByteBuf;
import io.netty.channel.ChannelHandlerContext;
import io.netty.handler.codec.ByteToMessageDecoder;
import io.netty.handler.codec.Unglue;
import java.util.List;

public class ProtobufVarint32FrameDecoder extends ByteToMessageDecoder {
    private final Unglue stream = new Unglue("slow", "varint(5, max=2G)");

    @Override
    protected void decode(ChannelHandlerContext ctx, ByteBuf in, List<Object> out) {
        stream.data(in, out);
    }
}
