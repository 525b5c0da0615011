//! An HLS player without a picture: it follows a stream part by part, and finds
//! everything in a playlist that RFC 8216bis does not allow.

use super::client::Client;
use domain::CameraId;
use reqwest::{Method, Response};
use std::collections::BTreeMap;
use std::time::Duration;

/// A player of one stream.
pub struct Player {
    client: Client,
    /// Where the playlists are, with a slash behind.
    folder: String,
    /// The name of the media playlist, with its query.
    media: String,
    /// The next part: its segment and its place in it.
    pub next: (u64, u64),
    /// Bytes of all bodies.
    pub bytes: u64,
    /// The playlist as it was last, whole.
    pub text: String,
}

/// A part as the playlist names it.
#[derive(Clone, Debug, PartialEq)]
pub struct Part {
    pub segment: u64,
    pub place: u64,
    pub seconds: f64,
    pub independent: bool,
    pub uri: String,
}

/// A media playlist, read.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Playlist {
    pub target: u64,
    pub part_target: f64,
    pub first: u64,
    pub discontinuities: u64,
    pub skipped: u64,
    /// By media sequence number: seconds and address.
    pub segments: BTreeMap<u64, (f64, String)>,
    pub parts: Vec<Part>,
    pub hint: String,
    pub maps: Vec<String>,
    /// Numbers of the segments with a discontinuity in front.
    pub breaks: Vec<u64>,
}

impl Player {
    /// Opens the main stream, or answers the status of the refusal.
    pub async fn try_open(client: &Client, camera: &CameraId, query: &str) -> Result<Self, u16> {
        let folder = format!("/api/v1/cameras/{camera}/main/hls/");
        let index = get(client, &format!("{folder}index.m3u8{query}")).await?;
        assert_eq!(index.headers()["content-type"], "application/vnd.apple.mpegurl");
        assert_eq!(index.headers()["cache-control"], "private, no-store");
        let index = index.text().await.unwrap();
        let media = index.lines().find(|line| !line.starts_with('#')).unwrap().to_owned();
        let (client, bytes) = (client.clone(), index.len() as u64);
        let mut player = Self { client, folder, media, next: (0, 0), bytes, text: String::new() };
        let playlist = player.load("").await?;
        let first = playlist.parts.iter().rev().find(|part| part.independent).unwrap();
        player.next = (first.segment, first.place);
        Ok(player)
    }

    pub async fn open(client: &Client, camera: &CameraId) -> Self {
        Self::try_open(client, camera, "").await.unwrap()
    }

    /// The address of a file below the playlist.
    pub fn path(&self, name: &str) -> String {
        format!("{}{name}", self.folder)
    }

    /// The address of the media playlist, with more directives.
    pub fn media(&self, directives: &str) -> String {
        let join = if self.media.contains('?') { '&' } else { '?' };
        if directives.is_empty() {
            self.path(&self.media)
        } else {
            self.path(&format!("{}{join}{directives}", self.media))
        }
    }

    /// Loads the media playlist and checks it.
    pub async fn load(&mut self, directives: &str) -> Result<Playlist, u16> {
        let text = get(&self.client, &self.media(directives)).await?.text().await.map_err(|_| 0u16)?;
        self.bytes += text.len() as u64;
        let playlist = lint(&text);
        if playlist.skipped == 0 {
            if !self.text.is_empty() {
                follows(&lint(&self.text), &playlist);
            }
            self.text = text;
        }
        Ok(playlist)
    }

    /// The body of a file.
    pub async fn file(&mut self, name: &str) -> Result<Vec<u8>, u16> {
        let mut response = get(&self.client, &self.path(name)).await?;
        assert_eq!(response.headers()["content-type"], "video/mp4");
        assert_eq!(response.headers()["cache-control"], "private, no-store");
        let mut body = Vec::new();
        while let Some(chunk) = response.chunk().await.map_err(|_| 0u16)? {
            self.bytes += chunk.len() as u64;
            body.extend(chunk);
        }
        Ok(body)
    }

    /// The next part, with its bytes: waits for the playlist that names it.
    pub async fn part(&mut self) -> Result<(Part, Vec<u8>), u16> {
        loop {
            let (segment, place) = self.next;
            let known = lint(&self.text);
            let is_next = |part: &&Part| (part.segment, part.place) == (segment, place);
            if let Some(part) = known.parts.iter().find(is_next).cloned() {
                self.next = (segment, place + 1);
                let body = self.file(&part.uri).await?;
                return Ok((part, body));
            }
            if known.segments.contains_key(&segment) {
                self.next = (segment + 1, 0);
                continue;
            }
            self.load(&format!("_HLS_msn={segment}&_HLS_part={place}")).await?;
        }
    }
}

async fn get(client: &Client, path: &str) -> Result<Response, u16> {
    let asking = client.request(Method::GET, path).send();
    let answer = tokio::time::timeout(Duration::from_secs(40), asking).await.expect("there is an answer");
    // 0 stands for a connection that was cut.
    let response = answer.map_err(|_| 0u16)?;
    match response.status().as_u16() {
        200 => Ok(response),
        status => Err(status),
    }
}

/// Reads a media playlist and fails on what the standard does not allow.
pub fn lint(text: &str) -> Playlist {
    let mut playlist = Playlist::default();
    let attribute = |line: &str, name: &str| -> Option<String> {
        let list = line.split_once(':')?.1;
        let value = list.split(',').find_map(|pair| pair.strip_prefix(&format!("{name}=")))?;
        Some(value.trim_matches('"').to_owned())
    };
    let number = |line: &str, name: &str| -> f64 {
        attribute(line, name).unwrap_or_else(|| panic!("{name} in {line}")).parse().unwrap()
    };
    let value = |line: &str| line.split_once(':').unwrap().1.parse::<u64>().unwrap();
    let (mut segment, mut place, mut length, mut in_parts) = (0, 0, None, 0.0);
    let (mut versions, mut dated, mut last_date) = (0, false, String::new());
    let mut lines = text.lines();
    assert_eq!(lines.next(), Some("#EXTM3U"), "{text}");
    assert!(text.ends_with('\n') && !text.contains('\r'));
    for line in lines {
        let tag = line.split(':').next().unwrap();
        assert!(playlist.hint.is_empty(), "the hint is the last line: {text}");
        match tag {
            "#EXT-X-VERSION" => {
                versions += 1;
                assert!(value(line) >= 9, "skipping needs version 9");
            }
            "#EXT-X-TARGETDURATION" => playlist.target = value(line),
            "#EXT-X-SERVER-CONTROL" => {
                assert_eq!(attribute(line, "CAN-BLOCK-RELOAD").as_deref(), Some("YES"));
                assert!(number(line, "CAN-SKIP-UNTIL") >= 6.0 * playlist.target as f64, "{line}");
                playlist.part_target = number(line, "PART-HOLD-BACK");
            }
            "#EXT-X-PART-INF" => {
                let target = number(line, "PART-TARGET");
                assert!(
                    playlist.part_target >= 3.0 * target,
                    "{line}: held back by {}",
                    playlist.part_target
                );
                assert!(target < playlist.target as f64);
                playlist.part_target = target;
            }
            "#EXT-X-MEDIA-SEQUENCE" => {
                assert!(playlist.segments.is_empty() && playlist.skipped == 0, "{text}");
                playlist.first = value(line);
                segment = playlist.first;
            }
            "#EXT-X-DISCONTINUITY-SEQUENCE" => {
                assert!(playlist.segments.is_empty() && playlist.skipped == 0, "{text}");
                playlist.discontinuities = value(line);
            }
            "#EXT-X-SKIP" => {
                playlist.skipped = number(line, "SKIPPED-SEGMENTS") as u64;
                assert!(playlist.skipped > 0);
                segment += playlist.skipped;
            }
            "#EXT-X-DISCONTINUITY" => {
                assert_eq!(place, 0, "not within a segment: {text}");
                playlist.breaks.push(segment);
            }
            "#EXT-X-MAP" => {
                assert_eq!(place, 0, "not within a segment: {text}");
                playlist.maps.push(attribute(line, "URI").unwrap());
            }
            "#EXT-X-PROGRAM-DATE-TIME" => {
                let date = line.split_once(':').unwrap().1.to_owned();
                assert!(domain::Timestamp::parse(&date).is_some(), "{line}");
                assert!(date > last_date, "time goes on: {text}");
                (dated, last_date) = (true, date);
            }
            "#EXT-X-PART" => {
                let part = Part {
                    segment,
                    place,
                    seconds: number(line, "DURATION"),
                    independent: attribute(line, "INDEPENDENT").as_deref() == Some("YES"),
                    uri: attribute(line, "URI").unwrap(),
                };
                assert!(part.seconds <= playlist.part_target, "{line}");
                in_parts += part.seconds;
                place += 1;
                playlist.parts.push(part);
            }
            "#EXTINF" => {
                assert!(length.is_none(), "{text}");
                let seconds: f64 = line.split_once(':').unwrap().1.trim_end_matches(',').parse().unwrap();
                assert!(seconds.round() <= playlist.target as f64, "{line} over {}", playlist.target);
                assert!(place == 0 || (seconds - in_parts).abs() < 0.001, "{line}, and {in_parts} in parts");
                length = Some(seconds);
            }
            "#EXT-X-PRELOAD-HINT" => {
                assert_eq!(attribute(line, "TYPE").as_deref(), Some("PART"));
                playlist.hint = attribute(line, "URI").unwrap();
            }
            _ if !line.starts_with('#') && !line.is_empty() => {
                let seconds = length.take().unwrap_or_else(|| panic!("no length of {line}: {text}"));
                assert!(std::mem::take(&mut dated), "no date of {line}: {text}");
                playlist.segments.insert(segment, (seconds, line.to_owned()));
                (segment, place, in_parts) = (segment + 1, 0, 0.0);
            }
            _ => panic!("unknown line {line}"),
        }
    }
    assert_eq!(versions, 1);
    assert!(playlist.target > 0 && playlist.part_target > 0.0);
    assert!(!playlist.hint.is_empty(), "what comes next: {text}");
    assert!(playlist.skipped > 0 || !playlist.maps.is_empty(), "{text}");
    // All parts but a segment's last fill at least 85 % of the target.
    for two in playlist.parts.windows(2) {
        let short = two[0].seconds < 0.85 * playlist.part_target - 1e-6;
        assert!(!short || two[1].segment != two[0].segment, "{:?} is too short: {text}", two[0]);
    }
    // Parts are listed for three target durations, without a hole.
    let covered: f64 = playlist.parts.iter().map(|part| part.seconds).sum();
    let all: f64 = playlist.segments.values().map(|(seconds, _)| seconds).sum();
    assert!(covered >= (3.0 * playlist.target as f64).min(all), "{text}");
    playlist
}

/// Fails unless `later` can come after `earlier` (RFC 8216bis, section 6.2.1).
pub fn follows(earlier: &Playlist, later: &Playlist) {
    assert_eq!(earlier.target, later.target, "a playlist keeps its target duration");
    assert!(later.first >= earlier.first && later.discontinuities >= earlier.discontinuities);
    let gone = earlier.breaks.iter().filter(|segment| **segment < later.first).count() as u64;
    assert_eq!(later.discontinuities, earlier.discontinuities + gone, "every break stays counted");
    for (number, segment) in earlier.segments.range(later.first..) {
        assert_eq!(Some(segment), later.segments.get(number), "segment {number} stays as it is");
    }
    for part in &earlier.parts {
        let now = later.parts.iter().find(|now| (now.segment, now.place) == (part.segment, part.place));
        assert!(now.is_none_or(|now| now == part), "{part:?} became {now:?}");
    }
    // What was announced is what came.
    if let Some(part) =
        later.parts.iter().find(|part| !earlier.parts.contains(part) && part.segment >= earlier.first)
    {
        let new =
            earlier.parts.last().is_none_or(|last| (part.segment, part.place) > (last.segment, last.place));
        assert!(!new || part.uri == earlier.hint, "{} was announced, {} came", earlier.hint, part.uri);
    }
    let removed = earlier.first..later.first;
    let rest: f64 = later.segments.values().map(|(seconds, _)| seconds).sum();
    assert!(removed.is_empty() || rest >= 3.0 * later.target as f64, "three target durations stay");
}
