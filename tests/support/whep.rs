//! WHEP as a page speaks it: the offer over HTTP, the rest without the browser.

use super::client::Client;
use camsim::whep::{Answer, Offer, Viewer, Wants};
use domain::CameraId;
use reqwest::{Method, Response};

pub const SDP: &str = "application/sdp";
pub const FRAGMENT: &str = "application/trickle-ice-sdpfrag";

/// A session that was made, and the viewer's side of it.
pub struct Opened {
    pub offer: Offer,
    pub answer: Answer,
    /// Its address.
    pub location: String,
    pub etag: String,
}

pub fn path(camera: &CameraId) -> String {
    format!("/api/v1/cameras/{camera}/main/whep")
}

/// Sends a body of this type.
pub async fn send(client: &Client, method: Method, path: &str, kind: &str, body: &str) -> Response {
    client.request(method, path).header("content-type", kind).body(body.to_owned()).send().await.unwrap()
}

/// Opens a session, or answers the status of the refusal.
pub async fn try_open(client: &Client, camera: &CameraId) -> Result<Opened, u16> {
    try_open_at(client, &path(camera)).await
}

pub async fn try_open_at(client: &Client, path: &str) -> Result<Opened, u16> {
    let offer = Offer::new(Wants::Everything).unwrap();
    let response = send(client, Method::POST, path, SDP, &offer.sdp).await;
    if response.status() != 201 {
        return Err(response.status().as_u16());
    }
    let header = |name: &str| response.headers()[name].to_str().unwrap().to_owned();
    let (location, etag) = (header("location"), header("etag"));
    assert_eq!(header("content-type"), SDP);
    let answer = Answer::parse(&response.text().await.unwrap()).unwrap();
    Ok(Opened { offer, answer, location, etag })
}

/// A viewer that is connected; or the status of the refusal.
pub async fn try_watch(client: &Client, camera: &CameraId) -> Result<Viewer, u16> {
    let opened = try_open(client, camera).await?;
    Ok(Viewer::connect(opened.offer, &opened.answer).await.unwrap())
}

/// A viewer that is connected.
pub async fn watch(client: &Client, camera: &CameraId) -> Viewer {
    try_watch(client, camera).await.unwrap()
}
