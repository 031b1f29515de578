//! The wire carries everything, in its time and in packets of its size.

use std::fs;
use std::io::{self, Read as _, Write as _};
use std::net::{Shutdown, TcpListener, TcpStream, UdpSocket};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::thread;
use std::time::{Duration, Instant};

use unglue_lab::LabError;
use unglue_lab::kernel::unacknowledged;
use unglue_lab::network::{Host, Network, Segment, Side};

use crate::site::{Joined, on_network, within};

const MILLION: usize = 1_000_000;

pub(crate) fn bytes(salt: usize, count: usize) -> Vec<u8> {
    (0..count).map(|index| (index * 31 + index / 251 + salt) as u8).collect()
}

pub(crate) fn send(mut from: &TcpStream, sent: &[u8]) {
    from.write_all(sent).expect("it is written");
    from.shutdown(Shutdown::Write).expect("it ends");
}

pub(crate) fn receive(mut to: &TcpStream) -> Vec<u8> {
    let mut received = Vec::new();
    to.read_to_end(&mut received).expect("it is read");
    received
}

/// Bytes that the wire had not seen before, from one side.
fn fresh(network: &Network, from: Side) -> usize {
    network.segments().iter().filter(|segment| segment.from == from).map(|segment| segment.fresh).sum()
}

#[test]
fn a_megabyte_goes_whole_both_ways_and_connecting_takes_a_round_trip() {
    let delay = Duration::from_millis(15);
    on_network(40, delay, 1500, move |network| {
        let Joined { client, server, took } = Joined::on(network);
        assert!(took >= 2 * delay, "{took:?}");
        let (there, back) = (bytes(1, MILLION), bytes(2, MILLION));
        thread::scope(|scope| {
            scope.spawn(|| send(&client, &there));
            scope.spawn(|| send(&server, &back));
            let at_server = scope.spawn(|| receive(&server));
            assert!(receive(&client) == back, "what comes back differs");
            assert!(at_server.join().expect("it is read") == there, "what arrives differs");
        });
        assert_eq!((fresh(network, Side::Near), fresh(network, Side::Far)), (MILLION, MILLION));
        assert_eq!(network.refused(), 0);
    });
}

#[test]
fn no_segment_is_larger_than_the_mtu_lets_it_be() {
    on_network(40, Duration::from_millis(1), 576, |network| {
        let joined = Joined::on(network);
        let sent = bytes(3, 200_000);
        thread::scope(|scope| {
            scope.spawn(|| send(&joined.client, &sent));
            assert!(receive(&joined.server) == sent, "what arrives differs");
        });
        let segments = network.segments();
        let largest = segments.iter().map(|segment| segment.length).max();
        // 20 bytes of IP header, 20 of TCP header, 12 of timestamps.
        assert_eq!(largest, Some(576 - 20 - 20 - 12));
        assert_eq!(joined.when("any count", |_| true).snd_mss, 524);
        assert_eq!(fresh(network, Side::Near), sent.len());
        assert!(segments.iter().all(|segment| segment.from == Side::Near && segment.length > 0));
    });
}

#[test]
fn packets_that_are_held_arrive_in_order_once_they_are_released() {
    on_network(30, Duration::from_millis(2), 1500, |network| {
        let bind = |host: &Host| host.enter(|| UdpSocket::bind((host.address(), 0))).expect("a port of the host's");
        let (near, far) = (bind(network.near()), bind(network.far()));
        far.set_read_timeout(Some(Duration::from_millis(100))).expect("a timeout");
        let address = far.local_addr().expect("an address");
        // The first is under way, on time, when the hold begins.
        near.send_to(&[0], address).expect("sent");
        network.hold(Side::Far);
        let early = far.recv(&mut [0]).is_ok();
        (1..4).for_each(|number| assert_eq!(near.send_to(&[number], address).expect("sent"), 1));
        assert!(far.recv(&mut [0]).is_err(), "a packet came, though held");
        network.release(Side::Far);
        far.set_read_timeout(Some(Duration::from_secs(20))).expect("a timeout");
        let mut byte = [9];
        for number in u8::from(early)..4 {
            far.recv(&mut byte).expect("it arrives");
            assert_eq!(byte, [number]);
        }
    });
}

#[test]
fn a_retransmission_is_told_from_what_is_new() {
    on_network(40, Duration::ZERO, 1500, |network| {
        // An impatient host; kernels without the setting are impatient anyway.
        let _ = network.near().enter(|| fs::write("/proc/sys/net/ipv4/tcp_rto_min_us", "50000"));
        let mut joined = Joined::on(network);
        network.hold(Side::Near);
        joined.client.write_all(b"hello").expect("written");
        let info = joined.when("a retransmission", |info| info.total_retrans > 0);
        assert_eq!((info.first_sent(), info.unacked, unacknowledged(&joined.client).expect("asked")), (1, 1, 5));
        network.release(Side::Near);
        joined.when("an acknowledgement", |info| info.unacked == 0);
        let repeats: Vec<bool> = network.segments().iter().map(Segment::is_repeat).collect();
        assert!(!repeats[0] && repeats[1..].iter().all(|repeat| *repeat) && repeats.len() > 1, "{repeats:?}");
        assert_eq!(fresh(network, Side::Near), 5);
    });
}

#[test]
fn each_host_has_its_own_address_and_ports() {
    on_network(30, Duration::ZERO, 1500, |network| {
        let address = network.far().address();
        let there = network.far().enter(|| TcpListener::bind((address, 4)).expect("its own port"));
        let elsewhere = network.near().enter(|| TcpListener::bind((address, 4)));
        assert!(elsewhere.is_err(), "the near host has that address too");
        let found =
            network.near().enter(|| TcpStream::connect_timeout(&there.local_addr().unwrap(), Duration::from_secs(20)));
        assert!(found.is_ok(), "{found:?}");
    });
}

#[test]
fn the_devices_are_gone_with_the_network() {
    within(30, || {
        let network = match Network::new(Duration::from_secs(5), 1500) {
            Err(error @ LabError::Unavailable { .. }) => return eprintln!("skipped: {error}"),
            network => network.expect("a network"),
        };
        let far = network.far().address();
        let socket = network.near().enter(|| UdpSocket::bind((network.near().address(), 0))).expect("a port");
        socket.send_to(b"x", (far, 9)).expect("there is a route");
        let began = Instant::now();
        // With a packet under way, and with one that is held.
        network.hold(Side::Far);
        drop(network);
        assert!(began.elapsed() < Duration::from_secs(4), "it waited for the packet");
        let sent = socket.send_to(b"x", (far, 9)).map_err(|error| error.kind());
        assert_eq!(sent, Err(io::ErrorKind::NetworkUnreachable));
    });
}

#[test]
fn a_panic_inside_a_host_comes_out() {
    on_network(30, Duration::ZERO, 1500, |network| {
        let entered = AssertUnwindSafe(|| network.near().enter(|| panic!("inside")));
        let panic = catch_unwind(entered).expect_err("it panics");
        assert_eq!(panic.downcast_ref(), Some(&"inside"));
    });
}

#[test]
fn an_mtu_that_ip_does_not_allow_is_an_error() {
    within(30, || match Network::new(Duration::ZERO, 67) {
        Err(error @ LabError::Unavailable { .. }) => eprintln!("skipped: {error}"),
        result => assert!(matches!(result, Err(LabError::Io { .. })), "{result:?}"),
    });
}
