/** The library without what the page does not use; it brings its types only under the other name. */
declare module 'hls.js/light' {
  export { default } from 'hls.js';
}
