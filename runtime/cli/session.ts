/** What commands share of a session: the configuration as the flags say, and a connection for the time of one command. */
import { loadConfig, type Loaded } from '../../config/index.ts'
import { linkTo, Troupe, type Link } from '../troupe.ts'
import type { Invocation } from './command.ts'
import { note } from './print.ts'

type Settings = Pick<Invocation, 'settings' | 'configFile'>

/** The configuration; its warnings are told. Throws `ConfigError`. */
export async function loadSettings({ settings, configFile }: Settings): Promise<Loaded> {
  const loaded = await loadConfig({ flags: settings, file: configFile })
  for (const warning of loaded.warnings) note(`troupe: warning: ${warning}`)
  return loaded
}

/** Connects, to the project's own server where no other is configured, and closes when `use` has ended. */
export async function withTroupe<T>(settings: Settings, use: (troupe: Troupe, link: Link) => Promise<T>): Promise<T> {
  const { config, root } = await loadSettings(settings)
  const link = await linkTo(config, root)
  await using troupe = new Troupe(link)
  return await use(troupe, link)
}
