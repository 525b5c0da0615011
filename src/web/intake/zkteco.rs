//! What ZKTeco's controllers push ("PUSH protocol", `/iclock/…`): attendance terminals send
//! `ATTLOG`, access controllers `rtlog`. A controller is told nothing but to go on sending.
//!
//! Of a line only the code of what happened, the door, the direction, how it was opened,
//! the index and the time are read; the person's number and the card's are not.

use super::{BATCH, BODY, Counters, Told, What, all_in_all, fuzz, keep, moment, site, unnamed};
use crate::access::Sender;
use crate::extract::{Path, Query};
use crate::{App, Problem};
use axum::body::Bytes;
use axum::extract::State;
use domain::Timestamp;
use domain::device::Device;
use domain::event::device::DeviceEventKind as Tells;
use domain::event::door::{DoorEventKind as Door, Quality};
use serde::Deserialize;
use std::collections::HashMap;

/// The longest serial number of a controller.
const SERIAL: usize = 32;

#[derive(Deserialize, utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
pub(crate) struct Asked {
    /// The controller's serial number.
    #[serde(rename = "SN")]
    #[param(rename = "SN")]
    serial: Option<String>,
    /// `acc` of access controllers.
    #[serde(rename = "DeviceType")]
    #[param(rename = "DeviceType")]
    kind: Option<String>,
    /// What the lines are: `rtlog`, `ATTLOG`, …
    table: Option<String>,
}

/// What a ZKTeco controller asks: its options, or whether there is something to do.
#[utoipa::path(get, path = "/ingest/v1/zkteco/{token}/iclock/{what}", tag = "events", operation_id = "zkteco_asks",
    params(("token" = String, Path, description = "the device's token"), ("what" = String, Path), Asked),
    responses((status = 200, content_type = "text/plain", body = String), (status = 401), (status = 404)))]
pub(crate) async fn ask(
    Sender(device): Sender,
    Path((_, what)): Path<(String, String)>,
    Query(asked): Query<Asked>,
) -> Result<String, Problem> {
    match what.as_str() {
        "cdata" | "push" => Ok(options(&device, &asked)),
        "registry" => Ok(registered(&device)),
        "getrequest" | "ping" | "rtdata" | "querydata" => Ok("OK".to_owned()),
        _ => Err(Problem::NotFound),
    }
}

/// What a ZKTeco controller sends.
#[utoipa::path(post, path = "/ingest/v1/zkteco/{token}/iclock/{what}", tag = "events", operation_id = "receive_zkteco",
    params(("token" = String, Path, description = "the device's token"), ("what" = String, Path), Asked),
    request_body(content = String, content_type = "text/plain"),
    responses((status = 200, content_type = "text/plain", body = String, description = "all of it is durable"),
        (status = 401), (status = 404), (status = 413), (status = 429)))]
pub(crate) async fn receive(
    State(app): State<App>,
    Sender(device): Sender,
    Path((_, what)): Path<(String, String)>,
    Query(asked): Query<Asked>,
    body: Result<Bytes, axum::extract::rejection::BytesRejection>,
) -> Result<String, Problem> {
    match what.as_str() {
        "registry" => return Ok(registered(&device)),
        "push" => return Ok(options(&device, &asked)),
        "devicecmd" | "ping" | "exchange" | "querydata" => return Ok("OK".to_owned()),
        "cdata" => {}
        _ => return Err(Problem::NotFound),
    }
    let read = match asked.table.as_deref() {
        Some(table) if table.eq_ignore_ascii_case("rtlog") => rtlog,
        Some(table) if table.eq_ignore_ascii_case("attlog") => attlog,
        // People, fingers, faces, photographs: they are not wanted, and not read.
        _ => {
            Counters::add(&app.intake.unknown, 1);
            return Ok("OK".to_owned());
        }
    };
    let body = body.ok().filter(|body| body.len() <= BODY).ok_or_else(|| {
        Counters::add(&app.intake.too_large, 1);
        Problem::TooLarge("64 KiB")
    })?;
    // Old firmwares write names in GBK; what is read is ASCII in either.
    let text = String::from_utf8_lossy(&body);
    let lines: Vec<&str> = text.lines().filter(|line| !line.trim().is_empty()).collect();
    if lines.len() > BATCH {
        Counters::add(&app.intake.too_large, 1);
        return Err(Problem::TooLarge("100 lines"));
    }
    let unknown = "the site's time zone cannot be read at the moment; send it again";
    let site = site(&app, &device).await.ok_or_else(|| Problem::Unavailable(unknown.to_owned()))?;
    let (now, mut all) = (app.now(), Vec::new());
    for line in &lines {
        match read(line, &site.time_zone, now) {
            Some(told) => all.push(told),
            None => Counters::add(&app.intake.unknown, 1),
        }
    }
    all_in_all(&keep(&app, &device, all).await?)?;
    Ok(format!("OK: {}", lines.len()))
}

fn registered(device: &Device) -> String {
    let code: String = device.id.as_str().chars().take(10).collect();
    format!("RegistryCode={code}\n")
}

/// How the controller is to send: each event at once, the rest never.
fn options(device: &Device, asked: &Asked) -> String {
    if asked.kind.as_deref() == Some("acc") {
        return format!(
            "registry=ok\n{}ServerVersion=3.1.1\nServerName=SharpEyes\nPushProtVer=3.1.1\nErrorDelay=30\n\
             RequestDelay=10\nTransTimes=00:00;12:00\nTransInterval=1\nTransTables=Transaction\nRealtime=1\n\
             TimeoutSec=30\n",
            registered(device)
        );
    }
    let serial = asked.serial.as_deref().unwrap_or_default();
    let serial: String = serial.chars().filter(char::is_ascii_alphanumeric).take(SERIAL).collect();
    format!(
        "GET OPTION FROM: {serial}\nATTLOGStamp=None\nOPERLOGStamp=9999\nATTPHOTOStamp=9999\nErrorDelay=30\n\
         Delay=10\nTransTimes=00:00;12:00\nTransInterval=1\nTransFlag=TransData AttLog\nRealtime=1\nEncrypt=None\n"
    )
}

/// An event of an access controller: `key=value` behind tabs.
fn rtlog(line: &str, zone: &str, now: Timestamp) -> Option<Told> {
    let fields: HashMap<&str, &str> = line
        .split('\t')
        .filter_map(|field| field.split_once('='))
        .map(|(key, value)| (key.trim(), value.trim()))
        .collect();
    let number = |key: &str| fields.get(key).and_then(|value| value.parse::<u32>().ok());
    let direction = match number("inoutstatus") {
        Some(0) => Some("in"),
        Some(1) => Some("out"),
        _ => None,
    };
    let code = number("event")?;
    let what = what(code, direction, method(number("verifytype")))?;
    let time = fields.get("time").copied().unwrap_or_default();
    let device_time = Timestamp::parse_local(time, zone);
    let door = number("eventaddr").unwrap_or(1);
    let index = number("index").map_or_else(|| format!("event:{code}"), |index| index.to_string());
    Some(told(format!("zkteco/door/{door}"), &index, what, device_time, now))
}

/// Somebody came or went, says an attendance terminal: number, time, status, how, …
fn attlog(line: &str, zone: &str, now: Timestamp) -> Option<Told> {
    let mut fields = line.split('\t').map(str::trim);
    let (_person, time) = (fields.next()?, fields.next()?);
    let status = fields.next().and_then(|field| field.parse::<u32>().ok());
    let method = method(fields.next().and_then(|field| field.parse().ok()));
    let device_time = Timestamp::parse_local(time, zone)?;
    // Even is coming, odd is going: in, out, break out, break in, overtime in and out.
    let direction = match status {
        Some(0 | 3 | 4) => Some("in"),
        Some(1 | 2 | 5) => Some("out"),
        _ => None,
    };
    let what = door(Door::Granted, direction, method, None);
    Some(told(
        "zkteco/terminal".to_owned(),
        &format!("att:{}", status.unwrap_or(255)),
        what,
        Some(device_time),
        now,
    ))
}

fn told(source: String, index: &str, what: What, device_time: Option<Timestamp>, now: Timestamp) -> Told {
    let event_id = format!("{index}:{}", moment(device_time));
    let unnamed = unnamed(device_time, now);
    // Controllers do not say that they have kept something.
    Told { source, event_id, unnamed, what, quality: Quality::Live, device_time }.kept_on_the_way(now)
}

/// How somebody was recognised, for cards and codes; anything of a body is `other`.
fn method(verified: Option<u32>) -> Option<&'static str> {
    match verified? {
        3 => Some("code"),
        2 | 4 | 11 => Some("card"),
        200 => None,
        _ => Some("other"),
    }
}

fn door(kind: Door, direction: Option<&str>, method: Option<&str>, reason: Option<&str>) -> What {
    let [direction, method, reason] = [direction, method, reason].map(|word| word.map(str::to_owned));
    What::Door { kind, direction, method, reason }
}

/// What a code means (PUSH protocol, "real-time event codes").
fn what(code: u32, direction: Option<&str>, method: Option<&str>) -> Option<What> {
    let plain = |kind| Some(door(kind, direction, None, None));
    let granted = |method| Some(door(Door::Granted, direction, method, None));
    let denied = |reason| Some(door(Door::Denied, direction, method, Some(reason)));
    match code {
        0..=3 | 14..=19 | 203 => granted(method.or(Some("card"))),
        4 | 207 | 208 => granted(Some("code")),
        8 => granted(Some("remote")),
        202 => Some(door(Door::Granted, Some("out"), Some("button"), None)),
        5 | 9..=11 | 204 | 205 | 211 => plain(Door::Mode),
        21 | 22 | 35 | 36 => denied("schedule"),
        23 => denied("no_right"),
        24 => denied("antipassback"),
        25 => denied("interlock"),
        27 | 34 => denied("unknown"),
        29 | 33 => denied("expired"),
        30 => denied("wrong_code"),
        28 | 37 => plain(Door::HeldOpen),
        100 => plain(Door::Tamper),
        101 | 103 => plain(Door::Duress),
        102 => plain(Door::Forced),
        200 => plain(Door::Opened),
        201 => plain(Door::Closed),
        210 => Some(What::Device(Tells::Fire)),
        220 | 221 => Some(What::Device(Tells::Input)),
        7 => Some(What::Device(Tells::Cleared)),
        _ => None,
    }
}

/// For the fuzz target: lines of both kinds.
pub(crate) fn fuzz(bytes: &[u8]) {
    const ZONE: &str = "Asia/Shanghai";
    let text = String::from_utf8_lossy(bytes);
    for line in text.lines() {
        let fields: Vec<&str> = line.split('\t').collect();
        let named = |field: &&str| {
            let name = field.split_once('=').map_or("", |(name, _)| name.trim());
            ["time", "eventaddr", "event", "inoutstatus", "verifytype", "index"].contains(&name)
        };
        let plain: Vec<&str> = fields.iter().copied().filter(named).collect();
        let told = rtlog(line, ZONE, fuzz::NOW);
        assert_eq!(told, rtlog(&plain.join("\t"), ZONE, fuzz::NOW), "what else is in it changes nothing");
        let nobody: Vec<&str> = std::iter::once("0").chain(fields.into_iter().skip(1)).take(4).collect();
        let came = attlog(line, ZONE, fuzz::NOW);
        assert_eq!(came, attlog(&nobody.join("\t"), ZONE, fuzz::NOW), "who it was changes nothing");
        for told in told.into_iter().chain(came) {
            fuzz::devices().for_each(|device| fuzz::is_in_our_words(&told, &device));
        }
    }
}

#[cfg(test)]
#[path = "zkteco_tests.rs"]
mod tests;
