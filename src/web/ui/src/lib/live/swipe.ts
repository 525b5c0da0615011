// A horizontal swipe: the picture of the next or the previous camera.

/** Far enough, and much more across than down (down scrolls the page). */
const FAR_PX = 60;

/** 1 for a swipe to the next (to the left), -1 to the previous, 0 for none. */
export function swipeStep(dx: number, dy: number): -1 | 0 | 1 {
  if (Math.abs(dx) < FAR_PX || Math.abs(dx) < 2 * Math.abs(dy)) return 0;
  return dx < 0 ? 1 : -1;
}

/** Attaches to an element: calls `step` for each swipe over it. */
export function onSwipe(step: (direction: -1 | 1) => void): (element: HTMLElement) => () => void {
  return (element) => {
    let from: Touch | null = null;
    const down = (event: TouchEvent): void => {
      from = event.touches.length === 1 ? (event.touches[0] ?? null) : null;
    };
    const up = (event: TouchEvent): void => {
      const to = event.changedTouches[0];
      if (!from || !to) return;
      const direction = swipeStep(to.clientX - from.clientX, to.clientY - from.clientY);
      from = null;
      if (direction !== 0) step(direction);
    };
    element.addEventListener('touchstart', down, { passive: true });
    element.addEventListener('touchend', up, { passive: true });
    return () => {
      element.removeEventListener('touchstart', down);
      element.removeEventListener('touchend', up);
    };
  };
}
