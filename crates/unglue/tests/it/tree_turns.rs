//! How often the ends of a tree's transfer wait for each other, on a link with a long way.

use std::fs;
use std::path::PathBuf;
use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, DuplexStream};
use unglue::{Client, Layout, Policy, Principal, Service, TreeMove, TreeOptions};
use unglue_link::Peer;

use crate::site::{Site, within};

/// What a link carries in one direction is passed on at once.
const BUFFER: usize = 64 << 20;
/// Both ends have nothing to do but to wait once neither has sent anything for so long.
const QUIET: Duration = Duration::from_millis(400);
/// Four turns, there and back.
const MOST: u32 = 8;

/// Carries bytes between two ends as a link with an endless delay: only once both ends are quiet, everything arrives at both. Gives
/// how often that was, until `done` is.
async fn lockstep(mut near: DuplexStream, mut far: DuplexStream, mut done: tokio::sync::oneshot::Receiver<()>) -> u32 {
    let (mut up, mut down, mut arrivals) = (Vec::new(), Vec::new(), 0);
    loop {
        let (mut from_near, mut from_far) = (vec![0; 256 * 1024], vec![0; 256 * 1024]);
        tokio::select! {
            read = near.read(&mut from_near) => match read.expect("memory") {
                0 => return arrivals,
                read => up.extend_from_slice(&from_near[..read]),
            },
            read = far.read(&mut from_far) => match read.expect("memory") {
                0 => return arrivals,
                read => down.extend_from_slice(&from_far[..read]),
            },
            _ = &mut done => return arrivals,
            () = tokio::time::sleep(QUIET) => {
                if up.is_empty() && down.is_empty() {
                    continue;
                }
                arrivals += 1;
                far.write_all(&std::mem::take(&mut up)).await.expect("memory");
                near.write_all(&std::mem::take(&mut down)).await.expect("memory");
            }
        }
    }
}

/// The arrivals of one way that a transfer of 2,000 files of 4 KiB waits for, on a link that is open already.
async fn arrivals(site: &Site, pushes: bool, options: TreeOptions) -> u32 {
    let service = Service::new(site.server_options()).expect("a service");
    let ((near, a), (far, b)) = (tokio::io::duplex(BUFFER), tokio::io::duplex(BUFFER));
    let ada = Principal::new("ada", None, Policy::everything());
    let serving =
        tokio::spawn(async move { service.serve_trusted(far, Peer::Stdio, ada, std::future::pending()).await });
    let client = Client::connect_over(near, None, &site.client_options()).expect("a link");
    let (end, done) = tokio::sync::oneshot::channel();
    // What opens the link is not counted.
    let opening = tokio::spawn(async move {
        let (mut a, mut b) = (a, b);
        let both = tokio::time::timeout(2 * QUIET, tokio::io::copy_bidirectional(&mut a, &mut b));
        assert!(both.await.is_err(), "the link ended");
        (a, b)
    });
    let (a, b) = opening.await.expect("no panic");
    let carrying = tokio::spawn(lockstep(a, b, done));
    let tree = TreeMove::new(Layout::Into, options);
    let (sources, store) = ([PathBuf::from("from/.")], site.local_store());
    let moved = match pushes {
        true => client.push(&store, &sources, "there", &tree, Box::new(|_| ())).await,
        false => client.pull(&[PathBuf::from("there/.")], &store, "back", &tree, Box::new(|_| ())).await,
    };
    assert_eq!(moved.expect("it arrives").files, 2000);
    let _ = end.send(());
    let arrivals = carrying.await.expect("no panic");
    serving.abort();
    arrivals
}

#[test]
fn two_thousand_files_take_at_most_four_turns() {
    within(300, async || {
        let site = Site::new();
        for number in 0..2000 {
            let directory = site.local().join(format!("from/d{}", number / 200));
            fs::create_dir_all(&directory).expect("made");
            fs::write(directory.join(format!("file-{number}.dat")), vec![number as u8; 4096]).expect("written");
        }
        let sync = || TreeOptions {
            recursive: true,
            times: true,
            modes: true,
            beside: true,
            delta: true,
            delta_small: true,
            ..TreeOptions::default()
        };
        for (what, everything) in [("sync -a", false), ("cp -r", true)] {
            for pushes in [true, false] {
                let mut least = u32::MAX;
                // A machine that is busy may pause within a turn, and then that is two.
                for _ in 0..4 {
                    let _ =
                        fs::remove_dir_all(if pushes { site.root().join("there") } else { site.local().join("back") });
                    least = least.min(arrivals(&site, pushes, TreeOptions { everything, ..sync() }).await);
                    if least <= MOST {
                        break;
                    }
                }
                eprintln!("{what}, {}: {least} arrivals", if pushes { "up" } else { "down" });
                assert!(least <= MOST, "{what}, pushes: {pushes}: {least} arrivals of one way");
            }
        }
    });
}
