/** What the rest of Troupe uses of its configuration. */
export { findProject, loadConfig, type Loaded, type LoadOptions } from './load.ts'
export { importFile } from './importFile.ts'
export { envName, flagName, flagOptions } from './names.ts'
export { redact } from './redact.ts'
export { defineConfig, resolveConfig, type ResolveOptions } from './resolve.ts'
export type { Config, ConfigInput } from './schema.ts'
export { findServerBinary, type FindServerOptions, type ServerBinary } from './server/binary.ts'
export { startEmbeddedServer, type EmbeddedOptions, type EmbeddedServer } from './server/embedded.ts'
