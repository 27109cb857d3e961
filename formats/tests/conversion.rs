//! Old events as today's: pairs merged, types and counts brought up to date, what is lost left unknown.

#![allow(clippy::unwrap_used)] // a failed step fails the test

mod bytes;

use bytes::{Outcome, ev, read, shb};
use casebook_formats::event::EventType;
use casebook_formats::ledger::Counter;
use casebook_formats::tables::ppme;

const TID: i64 = 42;

fn capture(events: &[Vec<u8>]) -> Outcome {
    read(&[vec![shb()], events.to_vec()].concat().concat())
}

fn i64s(value: i64) -> Vec<u8> {
    value.to_le_bytes().to_vec()
}

#[test]
fn an_old_read_pair_becomes_one_event() {
    let outcome = capture(&[
        ev(10, TID, ppme::PPME_SYSCALL_READ_E, &[&i64s(5), &[0, 1, 0, 0]]),
        ev(30, TID, ppme::PPME_SYSCALL_READ_X, &[&i64s(3), b"abc"]),
    ]);
    assert!(outcome.clean(), "{:?}", outcome.ledger);
    let events = outcome.events();
    assert_eq!(events.len(), 1);
    assert_eq!((events[0].num, events[0].ts, events[0].enter_ts), (1, 30, Some(10)));
    assert_eq!(events[0].params, [i64s(3), b"abc".to_vec(), i64s(5), vec![0, 1, 0, 0]]);
    assert_eq!((events[0].raw_type, events[0].raw_nparams), (7, 2));
}

#[test]
fn an_old_open_gets_its_new_parameters_unknown() {
    // An open enter of 2014 has no parameters; it is delivered, padded with unknowns, and its time is kept.
    let outcome = capture(&[
        ev(10, TID, ppme::PPME_SYSCALL_OPEN_E, &[]),
        ev(30, TID, ppme::PPME_SYSCALL_OPEN_X, &[&i64s(3), b"/etc/passwd\0", &[1, 0, 0, 0], &[0; 4]]),
    ]);
    assert!(outcome.clean());
    let events = outcome.events();
    assert_eq!(events.len(), 2);
    assert_eq!(events[0].params, [[], [], []] as [[u8; 0]; 3]);
    assert_eq!(events[1].params.len(), 6);
    assert_eq!(events[1].params[1], b"/etc/passwd\0");
    assert!(events[1].params[4].is_empty() && events[1].params[5].is_empty());
    assert_eq!(events[1].enter_ts, Some(10));
    assert!(events[1].zero_copy, "unknown parameters need no copy");
}

#[test]
fn openat_of_2014_changes_its_type() {
    let outcome = capture(&[
        ev(10, TID, EventType(102), &[&i64s(-100), b"x\0", &[1, 0, 0, 0], &[0xA4, 1, 0, 0]]),
        ev(30, TID, EventType(103), &[&i64s(4)]),
    ]);
    assert!(outcome.clean());
    let events = outcome.events();
    assert_eq!(events.len(), 1);
    assert_eq!(events[0].etype, ppme::PPME_SYSCALL_OPENAT_2_X);
    let expected =
        [i64s(4), i64s(-100), b"x\0".to_vec(), vec![1, 0, 0, 0], vec![0xA4, 1, 0, 0], Vec::new(), Vec::new()];
    assert_eq!(events[0].params, expected);
}

#[test]
fn execve_8_goes_through_the_whole_chain() {
    let params: [&[u8]; 8] =
        [&i64s(0), b"/bin/ls\0", b"-l\0", &i64s(TID), &i64s(TID), &i64s(1), b"/\0", &1024_u64.to_le_bytes()];
    let outcome = capture(&[
        ev(10, TID, ppme::PPME_SYSCALL_EXECVE_8_E, &[]),
        ev(30, TID, ppme::PPME_SYSCALL_EXECVE_8_X, &params),
    ]);
    assert!(outcome.clean(), "{:?}", outcome.ledger);
    let events = outcome.events();
    // The enter half of execve is stored and delivered.
    assert_eq!(events.iter().map(|event| event.etype.0).collect::<Vec<_>>(), [292, 293]);
    assert_eq!(events[1].params.len(), 31);
    assert_eq!(events[1].params[..8], params.map(<[u8]>::to_vec));
    // Nothing is made up: neither memory figures nor a user.
    assert!(events[1].params[8..].iter().all(Vec::is_empty));
    assert_eq!(events[1].enter_ts, Some(10));
}

#[test]
fn a_lost_enter_half_leaves_the_descriptor_unknown() {
    let outcome = capture(&[ev(30, TID, ppme::PPME_SYSCALL_READ_X, &[&i64s(3), b"abc"])]);
    assert_eq!(outcome.count(Counter::LostEnterHalves), 1);
    let events = outcome.events();
    assert_eq!(events[0].params, [i64s(3), b"abc".to_vec(), Vec::new(), Vec::new()]);
    assert_eq!(events[0].enter_ts, None);
}

#[test]
fn a_stale_enter_half_is_ignored() {
    // libs ends the file here: the stored enter is a read, the exit a write.
    let outcome = capture(&[
        ev(10, TID, ppme::PPME_SYSCALL_READ_E, &[&i64s(5), &[0; 4]]),
        ev(30, TID, ppme::PPME_SYSCALL_WRITE_X, &[&i64s(1), b"a"]),
        ev(40, TID, ppme::PPME_SYSCALL_READ_X, &[&i64s(1), b"b"]),
    ]);
    assert_eq!(outcome.count(Counter::LostEnterHalves), 2, "the write is over, and with it the read before it");
    let events = outcome.events();
    assert_eq!(events.len(), 2);
    assert!(events.iter().all(|event| event.params[2].is_empty() && event.enter_ts.is_none()));
}

#[test]
fn halves_belong_to_their_thread() {
    let outcome = capture(&[
        ev(10, 1, ppme::PPME_SYSCALL_READ_E, &[&i64s(5), &[0; 4]]),
        ev(11, 2, ppme::PPME_SYSCALL_READ_E, &[&i64s(6), &[0; 4]]),
        ev(12, 1, ppme::PPME_SYSCALL_READ_X, &[&i64s(0), b""]),
        ev(13, 2, ppme::PPME_SYSCALL_READ_X, &[&i64s(0), b""]),
    ]);
    let events = outcome.events();
    assert_eq!((&events[0].params[2], &events[1].params[2]), (&i64s(5), &i64s(6)));
    assert_eq!((events[0].enter_ts, events[1].enter_ts), (Some(10), Some(11)));
}

#[test]
fn the_end_of_a_thread_and_of_a_section_forget_halves() {
    let enter = ev(10, TID, ppme::PPME_SYSCALL_READ_E, &[&i64s(5), &[0; 4]]);
    let exit = ev(30, TID, ppme::PPME_SYSCALL_READ_X, &[&i64s(0), b""]);
    let gone = ev(20, TID, ppme::PPME_PROCEXIT_1_E, &[&i64s(0)]);
    for between in [gone, shb()] {
        let outcome = capture(&[enter.clone(), between, exit.clone()]);
        assert_eq!(outcome.count(Counter::LostEnterHalves), 1);
    }
}

#[test]
fn connect_keeps_what_both_halves_know() {
    // libs forgets the enter half after its first use and so loses the address; the capture has it.
    let addr = [2, 127, 0, 0, 1, 0x50, 0];
    let outcome = capture(&[
        ev(10, TID, ppme::PPME_SOCKET_CONNECT_E, &[&i64s(5), &addr]),
        ev(30, TID, ppme::PPME_SOCKET_CONNECT_X, &[&i64s(0), b""]),
    ]);
    let events = outcome.events();
    assert_eq!(events.len(), 2, "the enter half of connect is delivered too");
    assert_eq!(events[1].params, [i64s(0), Vec::new(), i64s(5), addr.to_vec()]);
}

#[test]
fn a_narrower_parameter_is_cut_to_its_width() {
    // The command of bpf was 64 bits wide and is an enumeration of 32 today.
    let outcome = capture(&[
        ev(10, TID, ppme::PPME_SYSCALL_BPF_E, &[&i64s(5)]),
        ev(30, TID, ppme::PPME_SYSCALL_BPF_X, &[&[0, 3, 0, 0, 0, 0, 0, 0, 0]]),
    ]);
    let events = outcome.events();
    assert_eq!(events[0].etype, ppme::PPME_SYSCALL_BPF_2_X);
    assert_eq!(events[0].params[1], [5, 0, 0, 0]);
}

#[test]
fn counts_without_a_rule_are_used_as_far_as_they_go() {
    // 3 parameters of open never existed; 21 of execve neither, but 20 and 23 did.
    let mut execve: Vec<Vec<u8>> = (0..21).map(|index| vec![index; 4]).collect();
    execve[0] = i64s(0);
    let params: Vec<&[u8]> = execve.iter().map(Vec::as_slice).collect();
    let outcome = capture(&[
        ev(30, TID, ppme::PPME_SYSCALL_OPEN_X, &[&i64s(3), b"/x\0", &[1, 0, 0, 0]]),
        ev(31, TID, ppme::PPME_SYSCALL_EXECVE_19_X, &params),
    ]);
    assert_eq!(outcome.count(Counter::UnknownConversions), 2);
    let events = outcome.events();
    assert_eq!(events[0].params.len(), 6);
    assert_eq!(events[0].params[1], b"/x\0");
    assert_eq!(events[1].params.len(), 31);
    assert_eq!(events[1].params[..21], execve);
    assert!(events[1].params[21..].iter().all(Vec::is_empty));
}

#[test]
fn surplus_parameters_are_left_out() {
    let outcome = capture(&[ev(30, TID, ppme::PPME_SYSCALL_CLOSE_X, &[&i64s(0), &i64s(7), b"from the future"])]);
    assert_eq!(outcome.count(Counter::SurplusParameters), 1);
    assert_eq!(outcome.events()[0].params, [i64s(0), i64s(7)]);
    assert_eq!(outcome.events()[0].raw_nparams, 3);
}

#[test]
fn events_nobody_needs_are_dropped_and_not_numbered() {
    let outcome = capture(&[
        ev(1, TID, ppme::PPME_PROCEXIT_X, &[]), // unused type
        ev(2, TID, EventType(14), &[]),         // old clone enter
        ev(3, TID, ppme::PPME_SYSCALL_CLOSE_X, &[&i64s(0), &i64s(7)]),
        block_of_the_future(),
        ev(5, TID, ppme::PPME_SYSCALL_CLOSE_X, &[&i64s(0), &i64s(8)]),
    ]);
    assert_eq!(outcome.events().iter().map(|event| (event.num, event.ts)).collect::<Vec<_>>(), [(1, 3), (2, 5)]);
    assert_eq!(outcome.count(Counter::UnknownEventTypes), 1);
}

fn block_of_the_future() -> Vec<u8> {
    ev(4, TID, EventType(600), &[b"?"])
}

#[test]
fn defaults_are_kept_where_no_half_is_involved() {
    // socket 4 to 5: the flags did not exist, zero is libs' value. accept 3 to 5: queue lengths likewise.
    let domain = [2, 0, 0, 0];
    let outcome = capture(&[
        ev(1, TID, ppme::PPME_SOCKET_SOCKET_X, &[&i64s(3), &domain, &[1, 0, 0, 0], &[0; 4]]),
        ev(2, TID, ppme::PPME_SOCKET_ACCEPT_X, &[&i64s(4), b"", &[0]]),
    ]);
    assert!(outcome.clean());
    assert_eq!(outcome.events()[0].params[4], [0; 4]);
    assert_eq!(outcome.events()[1].etype, ppme::PPME_SOCKET_ACCEPT_5_X);
    assert_eq!(outcome.events()[1].params[3..], [vec![0; 4], vec![0; 4]]);
}

#[test]
fn the_oldest_container_event_becomes_json() {
    let outcome = capture(&[ev(
        1,
        -1,
        ppme::PPME_CONTAINER_E,
        &[b"3ad7b26ded6d\0", &[0, 0, 0, 0], b"web \"1\"\n\0", b"nginx\0"],
    )]);
    let event = outcome.events()[0].clone();
    assert_eq!(event.etype, ppme::PPME_CONTAINER_JSON_2_E);
    let expected = br#"{"container":{"id":"3ad7b26ded6d","type":0,"name":"web \"1\"\u000a","image":"nginx"}}"#;
    assert_eq!(event.params, [[expected.as_slice(), b"\0"].concat()]);
}

#[test]
fn execveat_that_succeeds_leaves_as_execve() {
    let params = vec![b"x".as_slice(); 31];
    let outcome = capture(&[
        ev(10, TID, ppme::PPME_SYSCALL_EXECVEAT_E, &[&i64s(-100), b"/bin/ls\0", &[0; 4]]),
        ev(30, TID, ppme::PPME_SYSCALL_EXECVE_19_X, &params),
    ]);
    assert_eq!(outcome.events()[1].enter_ts, Some(10));
}

#[test]
fn waiting_halves_are_bounded() {
    let mut file = shb();
    for tid in 0..200_000 {
        file.extend(ev(tid as u64 + 1, tid, ppme::PPME_SYSCALL_READ_E, &[&i64s(5), &[0; 4]]));
    }
    // The youngest are still there, the oldest were given up.
    file.extend(ev(1_000_000, 199_999, ppme::PPME_SYSCALL_READ_X, &[&i64s(0), b""]));
    file.extend(ev(1_000_001, 0, ppme::PPME_SYSCALL_READ_X, &[&i64s(0), b""]));
    let outcome = read(&file);
    assert_eq!(outcome.events()[0].params[2], i64s(5));
    assert_eq!(outcome.events()[1].params[2], Vec::<u8>::new());
    assert_eq!(outcome.count(Counter::LostEnterHalves), 1);
}
