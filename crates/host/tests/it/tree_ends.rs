//! The two ends of a tree's transfer, without a network between them.

use unglue_host::store::tree::{Produced, TreeSink, TreeSource};
use unglue_proto::Fault;

/// Passes everything on between the two, until both have ended.
pub(super) fn pump(source: &mut TreeSource, sink: &mut TreeSink) -> Result<(), Fault> {
    loop {
        let piece = match source.produce() {
            Produced::Piece(piece) => piece,
            Produced::Finished => break,
            Produced::Waiting => panic!("the source waits, and every answer has come"),
            Produced::Beside(..) | Produced::Large(..) => panic!("no streams of their own were allowed"),
        };
        // In odd chunks.
        for chunk in piece.chunks(4099) {
            let step = sink.take(chunk)?;
            if let Some(batch) = step.batch {
                let committed = batch.commit();
                sink.committed(committed);
            }
            source.answer(&step.answers)?;
        }
    }
    let answers = sink.finish()?;
    source.answer(&answers)
}
