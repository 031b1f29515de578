#!/usr/bin/env escript
%% erlang:decode_packet/3; see README.md.
-mode(compile).

main(_) ->
    ok = io:setopts(standard_io, [binary, {encoding, latin1}]),
    loop().

loop() ->
    case io:get_line("") of
        eof -> ok;
        Line ->
            [Kind, Max, Chunks] = string:split(string:trim(Line), " ", all),
            Bytes = << <<(binary:decode_hex(C))/binary>> || C <- string:split(Chunks, ",", all), C =/= <<>> >>,
            {Frames, State} = decode(type(Kind), binary_to_integer(Max), Bytes, []),
            io:put_chars([frames(Frames), " ", State, "\n"]),
            loop()
    end.

type(<<"e1">>) -> 1;
type(<<"e2">>) -> 2;
type(<<"e4">>) -> 4;
type(<<"eline">>) -> line;
type(<<"etpkt">>) -> tpkt.

decode(Type, Max, Bytes, Seen) ->
    Options = case Type of line -> []; tpkt -> []; _ -> [{packet_size, Max}] end,
    case erlang:decode_packet(Type, Bytes, Options) of
        {ok, Packet, Rest} -> decode(Type, Max, Rest, [data(Type, Packet) | Seen]);
        {more, _} -> {lists:reverse(Seen), "ok"};
        {error, _} -> {lists:reverse(Seen), "error"}
    end.

data(tpkt, <<_:4/binary, Data/binary>>) -> Data;
data(line, Line) ->
    Cut = binary:part(Line, 0, byte_size(Line) - 1),
    case Cut of
        <<>> -> <<>>;
        _ -> case binary:last(Cut) of $\r -> binary:part(Cut, 0, byte_size(Cut) - 1); _ -> Cut end
    end;
data(_, Packet) -> Packet.

frames([]) -> ".";
frames(Frames) -> lists:join(",", [case F of <<>> -> "-"; _ -> binary:encode_hex(F) end || F <- Frames]).
