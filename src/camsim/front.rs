//! The port cameras are reached at: a pipe to the RTSP server that can refuse,
//! drop, inject and trickle.

use crate::control::{Control, Strike};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::broadcast::error::RecvError;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use tracing::warn;

pub(crate) async fn run(
    first: TcpListener,
    address: SocketAddr,
    inner: SocketAddr,
    control: Arc<Control>,
    stop: CancellationToken,
) {
    let mut listener = Some(first);
    let mut refuse = control.refuse.subscribe();
    let work = async {
        loop {
            let _ = refuse.wait_for(|on| !on).await;
            let listener = match listener.take() {
                Some(listener) => listener,
                None => match TcpListener::bind(address).await {
                    Ok(listener) => listener,
                    Err(error) => {
                        warn!(%address, %error, "cannot listen again");
                        tokio::time::sleep(Duration::from_millis(100)).await;
                        continue;
                    }
                },
            };
            let mut pipes = JoinSet::new();
            loop {
                tokio::select! {
                    _ = refuse.wait_for(|on| *on) => break,
                    Some(_) = pipes.join_next() => {}
                    accepted = listener.accept() => if let Ok((client, _)) = accepted {
                        pipes.spawn(pipe(client, inner, Arc::clone(&control)));
                    },
                }
            }
        }
    };
    tokio::select! {
        () = work => {}
        () = stop.cancelled() => {}
    }
}

async fn pipe(client: TcpStream, inner: SocketAddr, control: Arc<Control>) -> std::io::Result<()> {
    let server = TcpStream::connect(inner).await?;
    client.set_nodelay(true)?;
    server.set_nodelay(true)?;
    let (mut client_read, mut client_write) = client.into_split();
    let (mut server_read, mut server_write) = server.into_split();
    let mut strikes = control.strikes.subscribe();
    let trickle = control.trickle.subscribe();
    let upstream = tokio::io::copy(&mut client_read, &mut server_write);
    let downstream = async {
        let mut buffer = vec![0; 64 << 10];
        loop {
            tokio::select! {
                strike = strikes.recv() => match strike {
                    Ok(Strike::Drop) | Err(RecvError::Closed) => return Ok(()),
                    Ok(Strike::Inject(bytes)) => client_write.write_all(&bytes).await?,
                    Err(RecvError::Lagged(_)) => {}
                },
                read = server_read.read(&mut buffer) => {
                    let bytes = buffer.get(..read?).unwrap_or_default();
                    if bytes.is_empty() {
                        return Ok(());
                    }
                    if *trickle.borrow() {
                        for byte in bytes {
                            client_write.write_all(&[*byte]).await?;
                            tokio::time::sleep(Duration::from_secs(1)).await;
                        }
                    } else {
                        client_write.write_all(bytes).await?;
                    }
                }
            }
        }
    };
    tokio::select! {
        done = upstream => done.map(|_| ()),
        done = downstream => done,
    }
}
