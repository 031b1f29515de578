//! The wire for measurements: real TCP over a rate, a delay and losses.

use std::net::{TcpListener, TcpStream};
use std::thread;
use std::time::{Duration, Instant};

use unglue_lab::LabError;
use unglue_lab::network::{Distance, Distant};

use crate::network::{bytes, receive, send};
use crate::site::within;

/// The time in which so many bytes go from the near host to the far one, the connection's own turn included.
fn transferred(network: &Distant, count: usize) -> Duration {
    let address = network.far().address();
    let listener = network.far().enter(|| TcpListener::bind((address, 0))).expect("a port");
    let address = listener.local_addr().expect("an address");
    let began = Instant::now();
    let client = network.near().enter(|| TcpStream::connect(address)).expect("it connects");
    let (server, _) = listener.accept().expect("it is accepted");
    let sent = bytes(5, count);
    thread::scope(|scope| {
        scope.spawn(|| send(&client, &sent));
        assert!(receive(&server) == sent, "what arrives differs");
    });
    began.elapsed()
}

/// Runs a test over a distance, if this user may have one.
fn over(distance: Distance, test: impl FnOnce(&Distant) + Send + 'static) {
    within(60, move || match Distant::new(&distance) {
        Ok(network) => test(&network),
        Err(error @ LabError::Unavailable { .. }) => eprintln!("skipped: {error}"),
        Err(error) => panic!("{error}"),
    });
}

#[test]
fn nothing_is_faster_than_the_rate_and_the_delay_allow() {
    let delay = Duration::from_millis(10);
    over(Distance { delay, rate: 20_000_000, queue: 5 * delay, ..Distance::default() }, move |network| {
        let took = transferred(network, 1_000_000);
        // 691 packets of 1,448 bytes, 90 bytes more for each: 0.425 s at 20 Mbit/s; and a turn and a half.
        assert!(took >= Duration::from_millis(425) + 3 * delay, "{took:?}");
        let [there, back] = network.carried();
        assert!(there.bytes > 1_000_000 && back.packets > 0, "{there:?}, {back:?}");
        assert_eq!((there.lost, back.lost), (0, 0));
    });
}

#[test]
fn what_is_lost_is_sent_again() {
    over(Distance { delay: Duration::from_millis(5), loss: 0.01, ..Distance::default() }, |network| {
        transferred(network, 2_000_000);
        let [there, _] = network.carried();
        assert!(there.lost > 0 && there.dropped == 0, "{there:?}");
    });
}
