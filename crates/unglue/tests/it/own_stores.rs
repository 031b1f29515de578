//! Transfers between a server and a store of the caller's own kind.

use std::fs;
use std::path::Path;
use std::sync::{Arc, Mutex};

use bytes::Bytes;
use unglue::{Cause, Code, Facts, Meter, Op, Problem, Sink, Source, StoreError, Tally, TransferOptions};
use unglue_testkit::Prng;

use crate::site::{Site, names, soon, within};

fn failed(op: Op) -> StoreError {
    StoreError::new(op, Path::new("bucket/key"), Problem::Stream(Cause::new("the bucket is gone")))
}

/// An object that is read in parts of a thousand bytes. It fails where it has no part that should be there.
struct Object {
    content: Bytes,
    announced: u64,
    meter: Meter,
}

impl Source for Object {
    fn facts(&self) -> Facts {
        Facts::default().with_size(Some(self.announced)).with_mode(0o640)
    }

    async fn next(&mut self) -> Result<Option<Bytes>, StoreError> {
        let part = self.content.split_to(self.content.len().min(1000));
        self.meter.pass(&part);
        match part.is_empty() {
            true if self.meter.bytes() < self.announced => Err(failed(Op::Read)),
            true => Ok(None),
            false => Ok(Some(part)),
        }
    }

    async fn finish(self) -> Result<Tally, StoreError> {
        Ok(self.meter.tally())
    }
}

/// What became of an upload in parts.
#[derive(Default)]
struct Bucket {
    parts: Vec<u8>,
    ended: Option<&'static str>,
}

struct Multipart(Arc<Mutex<Bucket>>, Meter);

impl Sink for Multipart {
    async fn write(&mut self, bytes: Bytes) -> Result<(), StoreError> {
        self.1.pass(&bytes);
        self.0.lock().expect("no panic").parts.extend_from_slice(&bytes);
        Ok(())
    }

    async fn written(&mut self) -> Result<Tally, StoreError> {
        Ok(self.1.tally())
    }

    async fn commit(self) -> Result<(), StoreError> {
        self.0.lock().expect("no panic").ended = Some("complete");
        Ok(())
    }

    async fn discard(self) {
        self.0.lock().expect("no panic").ended = Some("aborted");
    }
}

#[test]
fn an_object_goes_to_a_server_and_comes_back() {
    within(60, async || {
        let site = Site::new();
        let serving = site.serve();
        let client = site.connect(serving.address()).await;
        let content = Bytes::from(Prng::new(5).bytes(1_234_567));
        let object = Object { content: content.clone(), announced: 1_234_567, meter: Meter::default() };
        fs::create_dir(site.root().join("dir")).expect("a directory");
        let put = client.put_from(object, "named", "dir/", TransferOptions::default());
        assert_eq!(soon(20, "the put", put).await.expect("it goes").bytes, 1_234_567);
        assert!(fs::read(site.root().join("dir/named")).expect("it is there") == content);

        let bucket = Arc::new(Mutex::new(Bucket::default()));
        let mut described = None;
        let open = |facts: Facts| {
            described = Some((facts.size, facts.mode, facts.modified.is_some()));
            std::future::ready(Ok(Multipart(bucket.clone(), Meter::default())))
        };
        let get = client.get_into("dir/named", open, TransferOptions::default());
        soon(20, "the get", get).await.expect("it comes");
        assert_eq!(described, Some((Some(1_234_567), 0o640, true)));
        let bucket = bucket.lock().expect("no panic");
        assert!(bucket.parts == content);
        assert_eq!(bucket.ended, Some("complete"));
    });
}

#[test]
fn an_object_that_cannot_be_read_leaves_the_old_file() {
    within(60, async || {
        let site = Site::new();
        let serving = site.serve();
        let client = site.connect(serving.address()).await;
        fs::write(site.root().join("file"), "old").expect("an old file");
        let object = Object { content: "new".into(), announced: 5, meter: Meter::default() };
        let put = client.put_from(object, "file", "file", TransferOptions::default());
        let fault = soon(20, "the put", put).await.expect_err("it can't be read");
        assert!(fault.what.contains("bucket/key") && fault.what.contains("the bucket is gone"), "{fault}");
        assert_eq!(fault.side, None, "it happened here");
        assert_eq!(fs::read(site.root().join("file")).expect("it is there"), b"old");
        assert_eq!(names(&site.root()), ["file"]);
    });
}

#[test]
fn a_sink_that_cannot_be_made_ends_the_transfer_and_not_the_link() {
    within(60, async || {
        let site = Site::new();
        let serving = site.serve();
        let client = site.connect(serving.address()).await;
        fs::write(site.root().join("file"), Prng::new(5).bytes(9_000_000)).expect("a file");
        let open = |_| std::future::ready(Err::<Multipart, _>(failed(Op::Create)));
        let get = client.get_into("file", open, TransferOptions::default());
        let fault = soon(20, "the get", get).await.expect_err("there is no sink");
        assert!(fault.what.contains("the bucket is gone"), "{fault}");

        let bucket = Arc::new(Mutex::new(Bucket::default()));
        let open = |_| std::future::ready(Ok(Multipart(bucket.clone(), Meter::default())));
        let missing = client.get_into("missing", open, TransferOptions::default());
        assert_eq!(soon(20, "the get", missing).await.expect_err("no file").code, Code::System);
        assert_eq!(bucket.lock().expect("no panic").ended, None, "no sink is made for a file that is not there");
        let get = client.get_into("file", open, TransferOptions::default());
        assert_eq!(soon(20, "the get", get).await.expect("the link goes on").bytes, 9_000_000);
    });
}

#[test]
fn a_sink_is_aborted_when_the_server_goes() {
    within(60, async || {
        let site = Site::new();
        let serving = site.serve();
        let client = site.connect(serving.address()).await;
        let huge = fs::File::create(site.root().join("huge")).expect("a file");
        huge.set_len(1 << 40).expect("a sparse file");
        let bucket = Arc::new(Mutex::new(Bucket::default()));
        let open = |_| std::future::ready(Ok(Multipart(bucket.clone(), Meter::default())));
        let mut serving = Some(serving);
        let options = TransferOptions::default().progress(Some(Box::new(move |_| {
            if let Some(serving) = serving.take() {
                std::thread::spawn(move || drop(serving));
            }
        })));
        let fault = soon(30, "the get", client.get_into("huge", open, options)).await.expect_err("the server is gone");
        // A server that ends resets its streams; the link's end may come first.
        assert!(matches!(fault.code, Code::Cancelled | Code::LinkLost), "{fault}");
        assert!(fault.advice.contains("copy it again"), "{fault}");
        assert_eq!(bucket.lock().expect("no panic").ended, Some("aborted"));
    });
}
