import { defineConfig } from 'vite'

// The SDK alone, as one module with a lasting name: for other people's pages, and for the server's tests in Node.
export default defineConfig({
  publicDir: false,
  build: {
    outDir: 'dist/sdk',
    target: 'es2022',
    minify: false,
    lib: { entry: 'sdk/index.ts', formats: ['es'], fileName: () => 'livesale.js' },
  },
})
