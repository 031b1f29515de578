package io.netty.handler.codec.json;

import io.netty.buffer.ByteBuf;
import io.netty.channel.ChannelHandlerContext;
import io.netty.handler.codec.ByteToMessageDecoder;
import io.netty.handler.codec.Unglue;
import java.util.List;

public class JsonObjectDecoder extends ByteToMessageDecoder {
    private final Unglue stream;

    public JsonObjectDecoder() {
        this(1024 * 1024);
    }

    public JsonObjectDecoder(int max) {
        stream = new Unglue("slow", "json(max=" + max + ')');
    }

    public JsonObjectDecoder(boolean streamArrayElements) {
        this(1024 * 1024, streamArrayElements);
    }

    public JsonObjectDecoder(int max, boolean streamArrayElements) {
        this(max);
        if (streamArrayElements) {
            throw new UnsupportedOperationException("a frame is a whole value");
        }
    }

    @Override
    protected void decode(ChannelHandlerContext ctx, ByteBuf in, List<Object> out) {
        stream.data(in, out);
    }
}
