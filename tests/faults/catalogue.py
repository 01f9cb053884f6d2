"""The fault catalogue: what goes wrong, what is expected, and the tests that show it.

A row is (number, fault, expected, tests); a test is `file::name` below tests/. `test_catalogue.py` sees that it exists.
"""

from __future__ import annotations

Row = tuple[int, str, str, tuple[str, ...]]

HANDLERS = "faults/test_faults_in_handlers.py"
HOUSE = "faults/test_faults_of_the_house.py"
MACHINE = "faults/test_faults_of_the_machine.py"
P3 = "promises/test_promise_03_accepted_or_refused.py"
P4 = "promises/test_promise_04_at_most_once.py"
P6 = "promises/test_promise_06_every_call_settles_once.py"
BAD = "node/test_bad_input_on_node.py"
FULL = "node/test_mailbox_between_processes.py"
TAKEOVER = "node/test_takeover.py"
LIFE = "node/test_node_lifecycle.py"
LAUNCH = "node/test_launch.py"
LADDER = "node/test_stop_ladder.py"
TREES = "node/test_supervision_on_workers.py"
SWEEP = "node/test_sweep.py"
DIRECTORY = "node/test_directory.py"
NAMES = "node/test_names_between_processes.py"
LANE = "crash/test_lane_crash.py"
POOL = "crash/test_pool_crash.py"
SOAK = "soak/test_short_soak.py::test_every_promise_holds_under_the_nemesis"

CATALOGUE: tuple[Row, ...] = (
    (
        1,
        "SIGKILL of a worker in a handler",
        "ActorDied, queue kept, restarted",
        (
            f"{P4}::test_a_workers_crash_keeps_what_came_from_other_processes",
            f"{P6}::test_a_call_in_hand_settles_when_its_worker_is_killed",
        ),
    ),
    (
        2,
        "… of an actor with redeliver=2",
        "tried again twice, then poison",
        (
            f"{P4}::test_a_message_in_hand_is_tried_again_where_the_actor_says_so",
            f"{P4}::test_a_message_that_kills_every_time_is_poison",
        ),
    ),
    (
        3,
        "SIGKILL of a sender before it published",
        "never was; later messages flow",
        (f"{LANE}::test_a_sender_killed_anywhere_loses_doubles_and_leaks_nothing",),
    ),
    (
        4,
        "SIGKILL of a sender after it published",
        "delivered once",
        (
            f"{LANE}::test_a_sender_killed_anywhere_loses_doubles_and_leaks_nothing",
            f"{P3}::test_what_was_accepted_before_a_return_is_there_when_its_sender_is_killed",
        ),
    ),
    (
        5,
        "SIGKILL of a receiver at any store",
        "at most once, in the books once",
        (
            f"{LANE}::test_a_receiver_killed_anywhere_leaves_all_it_had_not_freed",
            "crash/test_fate_crash.py::test_an_owner_killed_anywhere_is_finished_once",
            "node/test_fate_on_workers.py::test_a_message_is_in_the_books_once_wherever_its_worker_is_killed",
            SOAK,
        ),
    ),
    (
        6,
        "SIGKILL with a lock held",
        "no lock is shared; what a pool's writer held is free",
        (
            "memory/test_pool.py::test_a_full_pool_takes_back_what_a_killed_writer_had_set_aside",
            "crash/test_board_crash.py::test_who_comes_after_either_end_sees_every_message_and_is_rung_for_the_next",
        ),
    ),
    (
        7,
        "SIGKILL in the middle of a publish",
        "old version intact, leftovers removed",
        (f"{POOL}::test_killed_there_what_exists_is_whole_and_all_goes_on",),
    ),
    (
        8,
        "SIGKILL of a reader with a lease",
        "the lease is free",
        ("memory/test_pool_leases.py::test_a_killed_reader_leaks_nothing",),
    ),
    (
        9,
        "SIGSTOP of a worker",
        "said to be stopped, killed after its time, callers told",
        (f"{TAKEOVER}::test_a_frozen_worker_is_noticed_killed_and_replaced",),
    ),
    (
        10,
        "SIGSTOP, SIGCONT in time",
        "goes on, nothing lost",
        (f"{TAKEOVER}::test_a_worker_that_is_frozen_for_a_moment_goes_on", SOAK),
    ),
    (
        11,
        "C code that keeps the interpreter",
        "put down, and named",
        (f"{TAKEOVER}::test_a_c_call_that_keeps_the_interpreter_is_put_down_and_named",),
    ),
    (12, "a long but healthy handler", "left alone", (f"{TAKEOVER}::test_a_handler_that_works_long_is_left_alone",)),
    (
        13,
        "segfault, os._exit(0), sys.exit in a handler",
        "named; exit 0 is a crash; SystemExit is the actor's only",
        (
            f"{HANDLERS}::test_a_handler_that_ends_its_process_is_one_incident_with_its_reason",
            f"{HANDLERS}::test_sys_exit_in_a_handler_is_that_actors_crash_only",
            "node/test_exits.py::test_every_way_to_end_is_named_and_reported_once",
        ),
    ),
    (
        14,
        "killed for want of memory, in a cgroup",
        "`oom_killed`; the controller lives",
        (f"{HANDLERS}::test_a_worker_that_the_kernel_kills_for_memory_is_said_to_have_been",),
    ),
    (
        15,
        "a soft limit of memory",
        "named once; sheds, or is recycled; loses nothing",
        (
            "node/test_memory_limits.py::test_above_the_soft_limit_a_worker_is_named_once",
            "node/test_memory_limits.py::test_a_worker_that_sheds_refuses_what_comes_from_outside_until_it_is_well_again",
            "node/test_recycling.py::test_a_worker_is_recycled_for_its_memory",
            "node/test_recycling.py::test_nothing_is_lost_or_reordered_under_load",
        ),
    ),
    (
        16,
        "SIGKILL of the forkserver",
        "replaced; workers unharmed",
        (
            f"{TAKEOVER}::test_a_killed_forkserver_harms_nobody",
            f"{LAUNCH}::test_a_killed_forkserver_harms_no_worker_and_is_replaced",
        ),
    ),
    (
        17,
        "SIGKILL of the controller",
        "no process and no file left",
        (
            f"{LIFE}::test_a_killed_controller_leaves_no_process_and_no_file",
            f"{LAUNCH}::test_a_killed_controller_leaves_no_process_however_busy",
        ),
    ),
    (
        18,
        "the user's process just ends",
        "no process left",
        (f"{LAUNCH}::test_a_controller_that_just_exits_leaves_nothing",),
    ),
    (
        19,
        "the whole tree killed, a hundred times",
        "the next start removes what is left",
        (
            f"{MACHINE}::test_the_whole_tree_killed_a_hundred_times_leaves_nothing_behind_the_next_start",
            f"{SWEEP}::test_a_killed_nodes_directory_is_removed",
            f"{DIRECTORY}::test_a_name_is_free_again_after_its_controller_is_killed",
        ),
    ),
    (
        20,
        "orphans alive, controller dead",
        "killed by identity, then removed",
        (f"{SWEEP}::test_orphans_are_killed_and_their_directory_removed",),
    ),
    (
        21,
        "a recorded pid is a stranger's by now",
        "never signalled",
        (f"{SWEEP}::test_a_stranger_with_a_recorded_pid_is_never_signalled",),
    ),
    (
        22,
        "two nodes of one name",
        "one wins, the other: AlreadyRunning",
        (f"{HOUSE}::test_of_two_nodes_of_one_name_the_second_does_not_start",),
    ),
    (
        23,
        "a message that always kills",
        "tried as often as allowed, then a dead letter; the actor lives",
        (
            f"{P4}::test_a_message_that_kills_every_time_is_poison",
            f"{HANDLERS}::test_a_message_that_kills_while_it_is_unpickled_is_a_dead_letter_and_no_loop",
        ),
    ),
    (
        24,
        "a message that cannot be pickled",
        "the sender's error, nothing sent",
        (f"{BAD}::test_an_unpicklable_message_is_refused_with_the_path_to_the_culprit",),
    ),
    (
        25,
        "a reply that cannot be pickled",
        "the caller's error; the actor lives",
        (f"{BAD}::test_an_unpicklable_reply_is_the_callers_error_and_the_actor_lives",),
    ),
    (
        26,
        "an exception that cannot be pickled",
        "RemoteError with its name, text and traceback",
        (
            f"{BAD}::test_an_exception_that_does_not_pickle_arrives_as_remote_error",
            "transport/test_failure.py::test_an_unpicklable_attribute_makes_a_remote_error",
        ),
    ),
    (
        27,
        "an exception that pickles and does not unpickle",
        "the same",
        (
            "transport/test_failure.py::test_a_class_whose_pickling_is_broken_arrives_as_itself_without_it",
            "transport/test_failure.py::test_unpicklable_arguments_make_a_remote_error",
        ),
    ),
    (
        28,
        "unpickling raises, or ends the process",
        "a dead letter, no loop",
        (
            f"{BAD}::test_a_message_that_does_not_unpickle_is_a_dead_letter_and_its_caller_is_told",
            f"{HANDLERS}::test_a_message_that_kills_while_it_is_unpickled_is_a_dead_letter_and_no_loop",
        ),
    ),
    (
        29,
        "a message larger than a lane takes",
        "goes by shared memory of its own",
        ("node/test_large_messages.py::test_bytes_go_there_and_back",),
    ),
    (
        30,
        "a message above the limit",
        "MessageTooLarge at once",
        ("node/test_large_messages.py::test_a_message_above_the_limit_is_refused_at_once",),
    ),
    (31, "a full mailbox: block", "waits, then MailboxFull", (f"{FULL}::test_the_deadline_is_a_mailbox_full",)),
    (
        32,
        "a full mailbox: reject, drop",
        "counted by reason, callers told",
        ("promises/test_promise_05_books_balance.py::test_every_message_of_a_mix_is_in_the_books_once",),
    ),
    (
        33,
        "a slow consumer, many senders",
        "memory bounded, nobody starved",
        (
            f"{MACHINE}::test_many_senders_to_a_slow_receiver_have_bounded_memory_and_all_get_in",
            "actor/test_mailbox_bounds.py::test_room_is_given_in_the_order_of_arrival",
        ),
    ),
    (34, "a signal to a full mailbox", "arrives", (f"{FULL}::test_stop_exit_and_down_always_get_in",)),
    (
        35,
        "a call to oneself, a cycle of calls",
        "DeadlockDetected",
        (f"{BAD}::test_a_cycle_of_calls_is_refused_at_once",),
    ),
    (
        36,
        "two chains that wait for each other",
        "both come free by their deadlines",
        (
            f"{HANDLERS}::test_two_chains_that_wait_for_each_other_come_free_by_their_deadlines",
            f"{FULL}::test_two_actors_full_of_each_other_both_come_free",
        ),
    ),
    (37, "an answer after its deadline", "dropped and counted", (f"{P6}::test_a_late_reply_is_counted_and_dropped",)),
    (
        38,
        "no descriptor to be had",
        "typed errors; messages go on; the controller can still act",
        (
            f"{HANDLERS}::test_without_a_descriptor_messages_go_on_and_the_rest_is_a_typed_error",
            f"{HANDLERS}::test_without_a_descriptor_the_controller_still_replaces_a_worker",
        ),
    ),
    (
        39,
        "shared memory is full",
        "SharedMemoryFull, never a signal",
        (
            "memory/test_segment.py::test_more_than_the_file_system_has_is_refused_by_the_real_one",
            f"{BAD}::test_a_node_without_room_in_shared_memory_does_not_start",
            SOAK,
        ),
    ),
    (
        40,
        "the user's log is on a full disk, fails or blocks",
        "what is dropped is counted; holds up nobody",
        (
            f"{MACHINE}::test_a_full_disk_under_the_users_log_is_counted_and_holds_up_nobody",
            f"{MACHINE}::test_what_a_listener_is_too_slow_for_is_dropped_and_counted",
            "node/test_worker_logs.py::test_a_listener_that_blocks_holds_up_nobody_and_one_that_raises_is_heard_again",
        ),
    ),
    (
        41,
        "fork is refused (EAGAIN)",
        "costs no worker; tried again with growing pauses, counted",
        (
            f"{LAUNCH}::test_a_fork_that_the_system_refuses_costs_no_worker",
            f"{MACHINE}::test_a_worker_that_cannot_be_forked_is_tried_again_with_growing_pauses",
        ),
    ),
    (
        42,
        "the wall clock jumps by a day; the machine was suspended",
        "kills and wakes nobody; timers are right",
        (
            f"{MACHINE}::test_a_machine_that_was_suspended_finds_everybody_alive_and_timers_once",
            f"{HOUSE}::test_a_jump_of_the_wall_clock_kills_and_wakes_nobody",
            f"{HOUSE}::test_the_wall_clock_is_read_only_for_people",
        ),
    ),
    (43, "a race for a name", "one winner", (f"{NAMES}::test_a_race_for_a_name_has_one_winner", SOAK)),
    (
        44,
        "killed between registering and ready",
        "the name is free",
        (f"{TAKEOVER}::test_a_worker_killed_in_the_middle_of_a_start_fails_it",),
    ),
    (
        45,
        "a restart storm",
        "ends by its limit, escalates",
        (
            f"{HOUSE}::test_a_restart_storm_ends_by_its_limit",
            f"{HOUSE}::test_a_first_start_that_fails_is_the_askers_to_know_and_no_storm",
            f"{TREES}::test_a_supervisor_that_gives_up_is_its_parents_business",
            f"{TREES}::test_too_many_restarts_end_the_tree_and_the_node_says_why",
        ),
    ),
    (
        46,
        "__init__ raises, hangs, ignores",
        "StartError, InitTimeout, kept as ignored",
        (
            "actor/test_lifecycle.py::test_init_timeout_kills_what_does_not_get_ready",
            f"{TREES}::test_a_child_that_ignores_its_start_stays_in_the_list",
        ),
    ),
    (
        47,
        "5,000 actors crash at once",
        "mended, as one incident if their worker died; others are answered meanwhile",
        (
            f"{HOUSE}::test_five_thousand_crashes_at_once_are_mended_and_hold_up_nobody_else",
            f"{HOUSE}::test_a_killed_worker_with_thousands_is_one_incident",
        ),
    ),
    (
        48,
        "on_stop raises, or hangs",
        "logged, or killed at its time; the siblings stop in order",
        (
            f"{LADDER}::test_a_last_hook_may_fail_or_hang_and_the_others_stop_all_the_same",
            f"{LADDER}::test_siblings_stop_in_order_whatever_ones_last_hook_does",
            "actor/test_lifecycle.py::test_a_hook_that_fails_is_logged_and_the_actor_ends_all_the_same",
        ),
    ),
    (
        49,
        "Ctrl-C once, twice; SIGTERM to the group",
        "ordered; at once; the controller's to carry out",
        (
            f"{LIFE}::test_ctrl_c_is_the_users_exception_and_the_node_stops_in_order",
            f"{LIFE}::test_a_second_ctrl_c_does_not_wait_for_anybody",
            "node/test_worker_logs.py::test_an_order_to_terminate_that_the_whole_group_gets_is_the_controllers_to_carry_out",
        ),
    ),
    (
        50,
        "a configuration that makes no sense",
        "every problem with its path; nothing started",
        (
            "config/test_config_load.py::test_all_problems_are_told_at_once_each_at_its_key",
            "config/test_config_load.py::test_a_placement_on_a_worker_that_will_not_be_is_refused",
            "test_cli_run.py::test_bad_input_is_one_message_exit_code_2_and_nothing_left",
        ),
    ),
    (
        51,
        "a segment that is damaged",
        "SegmentCorrupt",
        (
            "memory/test_segment.py::test_what_is_not_the_expected_file_is_refused_with_its_path",
            "memory/test_pool.py::test_a_file_that_is_not_what_was_sealed_is_refused",
        ),
    ),
    (
        52,
        "a file that is too short",
        "SegmentCorrupt",
        ("transport/test_spill.py::test_a_file_of_another_length_is_corrupt",),
    ),
    (
        53,
        "a directory others may enter, a symbolic link",
        "refused",
        (
            "memory/test_pool.py::test_a_directory_that_others_may_enter_is_refused",
            "memory/test_segment.py::test_a_symbolic_link_is_not_followed",
        ),
    ),
    (
        56,
        "the files are removed under a node (RemoveIPC)",
        "who has them goes on; a worker that is needed ends the node",
        (f"{HOUSE}::test_files_that_are_removed_under_a_node_harm_no_one_who_has_them_and_end_it_when_one_is_needed",),
    ),
    (
        57,
        "a fork in a handler, or in the user's program",
        "the child's references are dead, its parent's node unharmed",
        (
            f"{HANDLERS}::test_a_fork_in_a_handler_can_do_nothing_with_the_node",
            f"{HANDLERS}::test_a_fork_that_returns_from_the_handler_ends_there",
            f"{HANDLERS}::test_a_child_of_the_users_process_cannot_stop_or_use_its_parents_node",
        ),
    ),
    (58, "a node inside a worker", "another node", (f"{HANDLERS}::test_a_node_inside_a_worker_is_another_node",)),
    (
        60,
        "garbage at the dashboard's door",
        "answered or dropped",
        ("dashboard/test_doors.py::test_garbage_is_answered_or_dropped_and_nothing_else_happens",),
    ),
    (
        61,
        "the dashboard dies, or is flooded",
        "the node does not notice",
        (
            "dashboard/test_doors.py::test_a_dashboard_that_is_killed_takes_nothing_with_it",
            "dashboard/test_doors.py::test_a_flood_is_answered_from_memory_and_the_node_does_not_notice",
        ),
    ),
    (
        62,
        "bytes of another version",
        "SegmentCorrupt",
        ("memory/test_segment.py::test_what_is_not_the_expected_file_is_refused_with_its_path",),
    ),
    (63, "an hour of kills", "nothing lost, nothing grows (python -m tools.soak)", (SOAK,)),
)

ELSEWHERE = {
    54: "there is no socket that another user could connect to: everything is files of mode 0600 in a directory 0700",
    55: "the same: no key, no handshake, no stranger",
    59: "the dashboard's own tests (dashboard/test_doors.py) say to whom it opens",
}
"""Rows that this project has no place for, or keeps elsewhere, and why."""
