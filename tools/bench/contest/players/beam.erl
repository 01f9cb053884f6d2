%% BEAM's part of the contest: two VMs, one that drives and one that serves. beam_player.py compiles and starts them,
%% and speaks to the one that drives by lines: a work and how much of it; the answer is a line of numbers.
%%
%% A VM ends when its standard input does, so nothing of it outlives who started it.
-module(beam).
-behaviour(gen_server).
-export([serve/0, drive/0, start_link/0, init/1, handle_call/3, handle_cast/2]).

%% About 100 bytes as an external term, as the other players' message is as a pickle. The tuple is made for each message;
%% the text is a literal, which is not copied when it is sent. `tell_copied` has a text that was made at run time.
-define(MESSAGE(I), {I, 2, 3, <<"increment">>, {<<"a text of forty-two characters, as it were">>, 7, 2.5, true}}).

%% -- the two VMs ----------------------------------------------------------------------------------------------------

serve() ->
    register(echo, spawn(fun() -> echo(0) end)),
    {ok, _} = gen_server:start({local, server}, ?MODULE, server, []),
    register(crowd, spawn(fun() -> crowd([], counters:new(1, [])) end)),
    say([os_pid()]),
    read_lines(self()).

drive() ->
    Self = self(),
    spawn(fun() -> read_lines(Self) end),
    say([os_pid()]),
    drive(undefined).

%% Ends the machine when nobody can tell it anything any more, in the midst of a work too.
read_lines(To) ->
    case io:get_line("") of
        Line when is_list(Line) -> To ! {line, Line}, read_lines(To);
        _ -> halt(0)
    end.

drive(Node) ->
    receive {line, Line} -> ok end,
    case string:lexemes(string:trim(Line), " ") of
        ["connect", Name] ->
            say([1]),
            drive(list_to_atom(Name));
        [Work | Words] ->
            %% Each work in a process of its own: none pays for the heap that another one grew.
            {_, Monitor} = spawn_monitor(fun() -> exit({took, work(list_to_atom(Work), Words, Node)}) end),
            receive
                {'DOWN', Monitor, process, _, {took, Numbers}} -> say(Numbers);
                {'DOWN', Monitor, process, _, Why} -> io:format(standard_error, "~s: ~p~n", [Work, Why]), halt(1)
            end,
            drive(Node)
    end.

say(Numbers) -> io:put_chars([lists:join(" ", [integer_to_list(round(N)) || N <- Numbers]), "\n"]).

os_pid() -> list_to_integer(os:getpid()).

now_ns() -> erlang:monotonic_time(nanosecond).

%% -- who answers and who counts -------------------------------------------------------------------------------------

echo(N) ->
    receive
        {ask, From, Ref, Message} -> From ! {Ref, Message}, echo(N);
        {count, From, Ref} -> From ! {Ref, N}, echo(0);
        {pid, From, Ref} -> From ! {Ref, os_pid()}, echo(N);
        {start, From, Ref} -> From ! {Ref, spawn(fun() -> echo(0) end)}, echo(N);
        {keep, From, Ref, Bytes} -> From ! {Ref, read(Bytes, 0.0)}, kept(Bytes);
        stop -> ok;
        _ -> echo(N + 1)
    end.

%% Has as many members as one is told, who answer how long a message is, and count what they take together.
crowd(Members, Taken) ->
    receive
        {{grow, N}, From, Ref} ->
            More = [spawn(fun() -> member(Taken) end) || _ <- lists:seq(length(Members) + 1, N)],
            From ! {Ref, Members ++ More},
            crowd(Members ++ More, Taken);
        {taken, From, Ref} -> From ! {Ref, counters:get(Taken, 1)}, crowd(Members, Taken)
    end.

member(Taken) ->
    receive
        {size, From, Ref, Message} -> From ! {Ref, byte_size(Message)};
        {take, _} -> counters:add(Taken, 1, 1)
    end,
    member(Taken).

kept(Bytes) -> receive stop -> size(Bytes) end.

read(<<F:64/float-native, Rest/binary>>, Sum) -> read(Rest, Sum + F);
read(<<>>, Sum) -> Sum.

start_link() -> gen_server:start_link(?MODULE, server, []).

init(server) -> {ok, 0};
init(supervisor) ->
    Child = #{id => child, start => {?MODULE, start_link, []}, restart => permanent},
    {ok, {#{strategy => simple_one_for_one, intensity => 1000000, period => 1}, [Child]}}.

handle_call(pid, _, N) -> {reply, self(), N};
handle_call(Message, _, N) -> {reply, Message, N}.

handle_cast(_, N) -> {noreply, N + 1}.

%% -- the works: each returns numbers, times in ns -------------------------------------------------------------------

work(pid, [], Node) -> [ask_for({echo, Node}, pid)];
work(call, [N], Node) -> asked({echo, Node}, number(N));
work(call_server, [N], Node) -> called({server, Node}, number(N));
work(call_local, [N], _) -> asked(spawn(fun() -> echo(0) end), number(N));
work(call_server_local, [N], _) ->
    {ok, Server} = gen_server:start(?MODULE, server, []),
    called(Server, number(N));
work(tell, [N], Node) -> told({echo, Node}, number(N));
work(tell_local, [N], _) -> told(spawn(fun() -> echo(0) end), number(N));
work(tell_copied, [N], _) ->
    Message = binary_to_term(term_to_binary(?MESSAGE(1))),
    told(spawn(fun() -> echo(0) end), Message, number(N));
work(array, [N, Bytes], Node) -> told({echo, Node}, binary:copy(<<1>>, number(Bytes)), number(N));
work(fan, [N], Node) ->
    Far = [ask_for({echo, Node}, start) || _ <- lists:seq(1, 50)],
    Others = Far ++ [spawn(fun() -> echo(0) end) || _ <- lists:seq(1, 50)],
    timed(fun() ->
        Refs = [begin Ref = make_ref(), Other ! {ask, self(), Ref, 1}, Ref end || Other <- Others],
        [receive {Ref, Answer} -> Answer end || Ref <- Refs]
    end, number(N));
work(spawn, [N], _) ->
    Started = now_ns(),
    Made = [spawn(fun() -> echo(0) end) || _ <- lists:seq(1, number(N))],
    _ = ask_for(lists:last(Made), pid),
    Took = now_ns() - Started,
    [One ! stop || One <- Made],
    [Took];
work(spawn_supervised, [N], _) ->
    {ok, Supervisor} = supervisor:start_link(?MODULE, supervisor),
    Started = now_ns(),
    [{ok, _} = supervisor:start_child(Supervisor, []) || _ <- lists:seq(1, number(N))],
    Took = now_ns() - Started,
    unlink(Supervisor), exit(Supervisor, shutdown),
    [Took];
work(idle, [N], _) ->
    Before = erlang:memory(processes),
    Made = [spawn(fun() -> echo(0) end) || _ <- lists:seq(1, number(N))],
    _ = ask_for(lists:last(Made), pid),
    [(erlang:memory(processes) - Before) / number(N)];
work(context, [N, Bytes], Node) ->
    Table = binary:copy(<<1.5:64/float-native>>, number(Bytes) div 8),
    Near = [spawn(fun() -> echo(0) end) || _ <- lists:seq(2, number(N), 2)],
    Far = [ask_for({echo, Node}, start) || _ <- lists:seq(1, number(N), 2)],
    [begin Ref = make_ref(), One ! {keep, self(), Ref, Table}, receive {Ref, _} -> ok end end || One <- Near ++ Far],
    [1];
work(restart_process, [N], _) ->
    {ok, Supervisor} = supervisor:start_link(?MODULE, supervisor),
    {ok, _} = supervisor:start_child(Supervisor, []),
    Times = timed(fun() ->
        [{_, Old, _, _}] = supervisor:which_children(Supervisor),
        exit(Old, kill), back(Supervisor, Old)
    end, number(N)),
    unlink(Supervisor), exit(Supervisor, shutdown),
    Times;
work(grow, [N], Node) ->
    persistent_term:put(crowd, list_to_tuple(ask_for({crowd, Node}, {grow, number(N)}))),
    [1];
work(ask_each, [N, Size], _) ->
    {Crowd, Message} = {persistent_term:get(crowd), binary:copy(<<0>>, number(Size))},
    [begin
        {T, Ref} = {now_ns(), make_ref()},
        One ! {size, self(), Ref, Message},
        receive {Ref, _} -> now_ns() - T end
    end || One <- some(Crowd, number(N))];
work(ask_all, [Size], _) ->
    {Crowd, Message, Started} = {tuple_to_list(persistent_term:get(crowd)), binary:copy(<<0>>, number(Size)), now_ns()},
    Refs = [begin Ref = make_ref(), One ! {size, self(), Ref, Message}, Ref end || One <- Crowd],
    [receive {Ref, _} -> ok end || Ref <- Refs],
    [now_ns() - Started];
work(tell_each, [N, Size], Node) ->
    {Crowd, Message} = {persistent_term:get(crowd), binary:copy(<<0>>, number(Size))},
    {Whom, Before, Started} = {some(Crowd, number(N)), ask_for({crowd, Node}, taken), now_ns()},
    [One ! {take, Message} || One <- Whom],
    until_taken(Node, Before + number(N)),
    [now_ns() - Started];
work(name, [First, N], _) ->
    Named = [list_to_atom("agent-" ++ integer_to_list(I)) || I <- lists:seq(number(First), number(N) - 1)],
    [register(Name, spawn(fun() -> receive stop -> ok end end)) || Name <- Named],
    [1];
work(look_up, [N, Of], _) ->
    Names = [list_to_atom("agent-" ++ integer_to_list(rand:uniform(number(Of)) - 1)) || _ <- lists:seq(1, number(N))],
    [begin T = now_ns(), true = is_pid(whereis(Name)), now_ns() - T end || Name <- Names];
work(Savina, [N], _) ->
    {Parts, Messages, Expected} = savina(Savina, number(N)),
    Started = now_ns(),
    Run = Parts(),
    Began = case Savina of forkjoin_create -> Started; _ -> now_ns() end,
    [Ref ! Message || {Ref, Message} <- Run],
    receive {done, Expected} -> [Messages, now_ns() - Began] after 120000 -> exit({wrong, Savina}) end.

%% `N` of the crowd, going round them all.
some(Crowd, N) ->
    Step = max(1, tuple_size(Crowd) div N),
    [element(I * Step rem tuple_size(Crowd) + 1, Crowd) || I <- lists:seq(0, N - 1)].

until_taken(Node, N) ->
    case ask_for({crowd, Node}, taken) >= N of true -> ok; false -> until_taken(Node, N) end.

back(Supervisor, Old) ->
    case supervisor:which_children(Supervisor) of
        [{_, New, _, _}] when is_pid(New), New =/= Old -> 1 = gen_server:call(New, 1);
        _ -> back(Supervisor, Old)
    end.

number(Word) -> list_to_integer(Word).

timed(Operation, N) -> [begin T = now_ns(), Operation(), now_ns() - T end || _ <- lists:seq(1, N)].

ask_for(To, What) ->
    Ref = make_ref(),
    To ! {What, self(), Ref},
    receive {Ref, Answer} -> Answer end.

ask(To, Message) ->
    Ref = make_ref(),
    To ! {ask, self(), Ref, Message},
    receive {Ref, Answer} -> Answer end.

asked(To, N) -> warmed(fun(Message) -> ask(To, Message) end, N).

called(To, N) -> warmed(fun(Message) -> gen_server:call(To, Message) end, N).

warmed(Call, N) ->
    timed(fun() -> Call(?MESSAGE(N)) end, 500),
    timed(fun() -> Call(?MESSAGE(N)) end, N).

told(To, N) -> counted(To, N, fun() -> tell(To, N) end).

told(To, Message, N) -> counted(To, N, fun() -> tell(To, Message, N) end).

counted(To, N, Tell) ->
    _ = ask_for(To, count),
    Started = now_ns(),
    Tell(),
    N = ask_for(To, count),
    [now_ns() - Started].

tell(_, 0) -> ok;
tell(To, N) -> To ! ?MESSAGE(N), tell(To, N - 1).

tell(_, _, 0) -> ok;
tell(To, Message, N) -> To ! Message, tell(To, Message, N - 1).

%% -- Savina, as savina.py has it ------------------------------------------------------------------------------------

%% What makes the actors and returns what sets them going; how many messages that are; the right result.
savina(pingpong, N) ->
    Self = self(),
    {fun() ->
        Pong = spawn(fun() -> pong() end),
        [{spawn(fun() -> ping(Pong, N, 0, Self) end), start}]
    end, 2 * N, N};
savina(counting, N) ->
    Self = self(),
    {fun() ->
        Counter = spawn(fun() -> counter(0) end),
        [{spawn(fun() -> receive start -> tell(Counter, 1, N), Counter ! {get, Self} end end), start}]
    end, N, N};
savina(threadring, N) ->
    Self = self(),
    {fun() ->
        Links = [spawn(fun() -> receive {next, Next} -> link_of(Next, Self) end end) || _ <- lists:seq(1, 100)],
        [{Link, {next, Next}} || {Link, Next} <- lists:zip(Links, tl(Links) ++ [hd(Links)])] ++ [{hd(Links), N}]
    end, N, round};
savina(forkjoin_create, N) ->
    Self = self(),
    {fun() ->
        Gather = spawn(fun() -> gather(N, 0, Self) end),
        [{spawn(fun() -> fork(Gather, 1, 0) end), 1} || _ <- lists:seq(1, N)]
    end, 2 * N, N};
savina(forkjoin_throughput, N) ->
    Self = self(),
    {fun() ->
        Gather = spawn(fun() -> gather(60, 0, Self) end),
        Forks = [spawn(fun() -> fork(Gather, N div 60, 0) end) || _ <- lists:seq(1, 60)],
        [{Fork, 1} || _ <- lists:seq(1, N div 60), Fork <- Forks]
    end, N div 60 * 60, N div 60 * 60}.

ping(_, N, N, Main) -> Main ! {done, N};
ping(Pong, N, Got, Main) ->
    receive
        start -> Pong ! self(), ping(Pong, N, Got, Main);
        pong when Got + 1 =:= N -> Main ! {done, N};
        pong -> Pong ! self(), ping(Pong, N, Got + 1, Main)
    end.

pong() -> receive From -> From ! pong, pong() end.

counter(N) -> receive 1 -> counter(N + 1); {get, From} -> From ! {done, N} end.

link_of(Next, Main) ->
    receive
        0 -> Main ! {done, round};
        Left -> Next ! Left - 1, link_of(Next, Main)
    end.

gather(0, Total, Main) -> Main ! {done, Total};
gather(Left, Total, Main) -> receive Part -> gather(Left - 1, Total + Part, Main) end.

fork(Gather, 0, Total) -> Gather ! Total;
fork(Gather, Left, Total) -> receive One -> fork(Gather, Left - 1, Total + One) end.
