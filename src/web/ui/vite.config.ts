import { readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { gzipSync } from 'node:zlib';
import { svelte } from '@sveltejs/vite-plugin-svelte';
import type { Plugin } from 'vite';
import { defineConfig } from 'vitest/config';

/** The gateway embeds each text file also packed, and packs nothing at run time. */
function packed(): Plugin {
  return {
    name: 'packed',
    apply: 'build',
    closeBundle() {
      for (const entry of readdirSync('dist', { recursive: true, withFileTypes: true })) {
        if (!/\.(html|js|css|svg|webmanifest)$/.test(entry.name)) continue;
        const file = join(entry.parentPath, entry.name);
        writeFileSync(`${file}.gz`, gzipSync(readFileSync(file), { level: 9 }));
      }
    },
  };
}

/** What a phone loads before its first picture, packed; the fallback that few need comes on its own. */
const MOST_BYTES = 120 * 1024;

/** Refuses a build whose page begins with more JavaScript than that. */
function slim(): Plugin {
  return {
    name: 'slim',
    apply: 'build',
    generateBundle(_, bundle) {
      const first = new Set<string>();
      const add = (file: string): void => {
        const chunk = bundle[file];
        if (first.has(file) || chunk?.type !== 'chunk') return;
        first.add(file);
        chunk.imports.forEach(add);
      };
      for (const chunk of Object.values(bundle)) {
        if (chunk.type === 'chunk' && chunk.isEntry && chunk.facadeModuleId?.endsWith('index.html')) add(chunk.fileName);
      }
      const size = [...first].reduce((sum, file) => {
        const chunk = bundle[file];
        return sum + (chunk?.type === 'chunk' ? gzipSync(chunk.code, { level: 9 }).length : 0);
      }, 0);
      if (size === 0 || size > MOST_BYTES) {
        this.error(`the page begins with ${size} bytes of packed JavaScript, of ${MOST_BYTES}: load what is not needed at once later`);
      }
      this.info(`the page begins with ${Math.round(size / 1024)} KB of packed JavaScript`);
    },
  };
}

// The gateway sends `default-src 'self'` and answers index.html for every path
// that is neither /api nor /assets. So nothing may be inlined, and whatever the
// page needs lies in /assets: hashed by the build, or (icons and manifest, in
// public/assets) with a version in its name.
export default defineConfig({
  plugins: [svelte(), slim(), packed()],
  build: {
    assetsInlineLimit: 0,
    modulePreload: { polyfill: false },
    chunkSizeWarningLimit: 1600, // Swagger UI, which only /api/docs loads
    rollupOptions: { input: ['index.html', 'docs.html'] },
  },
  server: {
    proxy: { '/api': { target: 'http://127.0.0.1:8080', ws: true } },
  },
  test: { include: ['src/**/*.test.ts'], environment: 'node' },
});
