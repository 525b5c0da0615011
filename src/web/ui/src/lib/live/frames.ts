// Every new picture of a <video>, as it reaches the screen.

/** Calls `seen` for each; returns what stops it. Browsers without frame callbacks tell about four times a second. */
export function eachFrame(video: HTMLVideoElement, seen: () => void): () => void {
  if ('requestVideoFrameCallback' in video) {
    let handle = 0;
    const next = (): void => {
      handle = video.requestVideoFrameCallback(() => {
        next();
        seen();
      });
    };
    next();
    return () => video.cancelVideoFrameCallback(handle);
  }
  const plain = video as HTMLVideoElement;
  plain.addEventListener('timeupdate', seen);
  return () => plain.removeEventListener('timeupdate', seen);
}

/** Plays, and tells when the browser wants a tap first. */
export function playOr(video: HTMLVideoElement, blocked: () => void): void {
  video.play().catch((error: unknown) => {
    if (error instanceof DOMException && error.name === 'NotAllowedError') blocked();
  });
}
