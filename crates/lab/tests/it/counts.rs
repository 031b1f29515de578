//! Nagle's algorithm, `TCP_NODELAY` and `TCP_CORK`, counted: the same every time, however busy the machine is.

use std::env;
use std::io::{self, Read as _, Write as _};
use std::net::SocketAddr;
use std::thread;
use std::time::{Duration, Instant};

use rustix::net::sockopt::set_tcp_cork;
use unglue_lab::kernel::{TcpInfo, unacknowledged};
use unglue_lab::network::{Network, Segment, Side};

use crate::site::{Joined, on_network};

/// How often each trial runs; `UNGLUE_TRIALS` names another number.
const TRIALS: usize = 10;

fn trials() -> usize {
    env::var("UNGLUE_TRIALS").map_or(TRIALS, |trials| trials.parse().expect("UNGLUE_TRIALS is a number"))
}

/// Runs a trial over and over on one network.
///
/// One that took longer than the kernel is patient proves nothing, and is repeated.
fn repeat(trial: impl Fn(&Network, &mut Joined) -> [u32; 2] + Send + 'static, expected: [u32; 2]) {
    let trials = trials();
    on_network(60 + trials as u64, Duration::from_millis(1), 1500, move |network| {
        let (mut counted, mut late) = (0, 0);
        while counted < trials {
            let mut joined = Joined::on(network);
            let began = Instant::now();
            let seen = trial(network, &mut joined);
            if began.elapsed() >= network.patience() {
                late += 1;
                assert!(late <= trials, "{late} trials took longer than {:?}", network.patience());
                continue;
            }
            counted += 1;
            assert_eq!(seen, expected, "trial {counted} of {trials}");
            assert_on_wire(network, &joined, expected[1]);
        }
    });
}

/// Asserts that what the kernel counted is what the wire carried, nothing of it twice.
fn assert_on_wire(network: &Network, joined: &Joined, expected: u32) {
    let port = |address: io::Result<SocketAddr>| address.expect("an address").port();
    // The kernel gives the same port to connections with different listeners.
    let ports = (port(joined.client.local_addr()), port(joined.client.peer_addr()));
    let segments = network.segments();
    let ours = segments.iter().filter(|segment| (segment.source, segment.destination) == ports);
    let ours: Vec<&Segment> = ours.collect();
    assert_eq!((ours.len(), network.refused()), (expected as usize, 0), "{ours:?}");
    assert!(ours.iter().all(|segment| !segment.is_repeat()), "{ours:?}");
}

fn write_five(joined: &mut Joined) {
    for _ in 0..5 {
        joined.client.write_all(b"x").expect("written");
    }
}

/// Waits until the five bytes have arrived and been acknowledged; says how many segments they took.
fn arrived(joined: &mut Joined) -> u32 {
    joined.server.read_exact(&mut [0; 5]).expect("they arrive");
    let info = joined.when("all is acknowledged", |info| info.unacked == 0 && info.notsent_bytes == 0);
    assert_eq!(unacknowledged(&joined.client).expect("asked"), 0);
    info.first_sent()
}

#[test]
fn with_nagle_all_but_the_first_write_wait_for_the_acknowledgement() {
    let trial = |network: &Network, joined: &mut Joined| {
        network.hold(Side::Near);
        write_five(joined);
        let before = joined.when("four bytes wait", |info| info.notsent_bytes == 4).first_sent();
        network.release(Side::Near);
        [before, arrived(joined)]
    };
    repeat(trial, [1, 2]);
}

#[test]
fn with_nodelay_every_write_is_a_segment() {
    let trial = |network: &Network, joined: &mut Joined| {
        joined.client.set_nodelay(true).expect("set");
        network.hold(Side::Near);
        write_five(joined);
        let before = joined.when("nothing waits", |info| info.notsent_bytes == 0).first_sent();
        network.release(Side::Near);
        [before, arrived(joined)]
    };
    repeat(trial, [5, 5]);
}

#[test]
fn with_cork_nothing_is_sent_until_it_is_pulled() {
    let trial = |_: &Network, joined: &mut Joined| {
        set_tcp_cork(&joined.client, true).expect("set");
        write_five(joined);
        // An impatient kernel may have sent some by now: then the trial is late, and repeated.
        let written = |info: &TcpInfo| u64::from(info.notsent_bytes) + info.bytes_sent >= 5;
        let before = joined.when("five bytes are written", written).first_sent();
        set_tcp_cork(&joined.client, false).expect("set");
        [before, arrived(joined)]
    };
    repeat(trial, [0, 1]);
}

#[test]
fn a_patient_kernel_keeps_a_cork_in_for_longer_than_its_usual_ceiling() {
    on_network(40, Duration::ZERO, 1500, |network| {
        if network.patience() < Duration::from_secs(10) {
            return eprintln!("skipped: this kernel has no tcp_rto_min_us (Linux 6.11)");
        }
        let mut joined = Joined::on(network);
        set_tcp_cork(&joined.client, true).expect("set");
        write_five(&mut joined);
        // tcp(7): "there is a 200 millisecond ceiling on the time for which output is corked".
        thread::sleep(Duration::from_secs(1));
        assert_eq!(joined.when("any count", |_| true).data_segs_out, 0);
    });
}
