// The page's worker: shows what arrives while the page is closed, and opens the page.
// It keeps nothing and answers no request of the page.

self.addEventListener('push', (event) => {
  let told = {};
  try {
    told = event.data.json();
  } catch {
    // Browsers want something shown for every push; this one says nothing that can be read.
  }
  event.waitUntil(
    self.registration.showNotification(told.title ?? '!', {
      body: told.body ?? '',
      lang: told.locale,
      // What comes later about the same incident takes the place of what was there, and sounds again.
      tag: told.incident_id,
      renotify: Boolean(told.incident_id),
      requireInteraction: Boolean(told.urgent),
      data: { incident: told.incident_id },
    }),
  );
});

self.addEventListener('notificationclick', (event) => {
  event.notification.close();
  const { incident } = event.notification.data ?? {};
  const path = /^[0-9a-f]{32}$/.test(incident ?? '') ? `/incidents/${incident}` : '/';
  event.waitUntil(
    self.clients.matchAll({ type: 'window' }).then(async ([open]) => {
      if (!open) return self.clients.openWindow(path);
      await open.focus();
      return open.navigate(path);
    }),
  );
});
