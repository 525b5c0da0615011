//! The task of one stream: frames in, parts and playlists out.

use super::{Known, View};
use crate::hub::{Hub, Interrupted, Item, Stats};
use media::Frame;
use media::hls::playlist::{self, Extent};
use media::hls::{Made, Segmenter, Window};
use std::sync::Arc;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

/// Packages the stream until `stop`, or until it has ended.
pub(super) async fn run(hub: Hub, query: String, known: watch::Sender<Known>, stop: CancellationToken) {
    tokio::select! {
        () = stop.cancelled() => {}
        () = package(&hub, &query, &known) => {}
    }
}

async fn package(hub: &Hub, query: &str, known: &watch::Sender<Known>) {
    let mut tap = hub.tap();
    let mut work: Option<(Segmenter, Window)> = None;
    loop {
        let mut changed = false;
        let mut next = Some(tap.next().await);
        // All that is there at once: the last group of pictures is one change.
        while let Some(item) = next {
            match (item, &mut work) {
                (Ok(Item::Frame(frame)), None) => match begin(hub, &frame, tap.longest_gop()) {
                    Some(begun) => {
                        let (segmenter, _) = work.insert(begun);
                        segmenter.push(frame);
                    }
                    None => {
                        known.send_replace(Known::Unplayable);
                    }
                },
                (Ok(Item::Frame(frame)), Some((segmenter, _))) => segmenter.push(frame),
                (Err(Interrupted::Lagged { .. }), Some((segmenter, _))) => segmenter.cut(),
                // Frames carry their parameters.
                (Ok(Item::Params(_) | Item::State(_)) | Err(Interrupted::Lagged { .. }), _) => {}
                (Err(Interrupted::Ended | Interrupted::Revoked | Interrupted::Expired), _) => return,
            }
            if let Some((segmenter, window)) = &mut work {
                changed |= collect(segmenter, window, hub.stats());
            }
            next = tap.try_next();
        }
        if let Some((_, window)) = work.as_ref().filter(|(_, window)| changed && window.is_playable()) {
            Stats::add(&hub.stats().playlists, 1);
            known.send_replace(Known::View(Arc::new(view(window.clone(), query))));
        }
    }
}

/// Nothing if HLS cannot carry what the stream does.
fn begin(hub: &Hub, frame: &Frame, gop: Option<std::time::Duration>) -> Option<(Segmenter, Window)> {
    media::fmp4::init::build(&frame.params)?;
    // Numbers go on where a packager of the same stream was before: players may still
    // be there, and a number never stands for two segments. No segment is this short.
    let number = u64::try_from(frame.arrival.as_millis() / 100).unwrap_or_default();
    Some((Segmenter::new(gop), Window::new(number, hub.born())))
}

fn collect(segmenter: &mut Segmenter, window: &mut Window, stats: &Stats) -> bool {
    let mut changed = false;
    for made in segmenter.take() {
        if let Made::Part(part) = &made {
            Stats::add(&stats.parts, 1);
            Stats::add(&stats.copied_bytes, part.bytes.len());
        }
        changed |= window.add(made);
    }
    changed
}

fn view(window: Window, query: &str) -> View {
    let write = |extent| playlist::media(&window, extent, query).into();
    View { playlist: write(Extent::Full), delta: write(Extent::Delta), window }
}
