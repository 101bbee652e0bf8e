// What the reading server was started with, as its endpoints need it.
export interface ReadingSettings {
  /** what clients call the model: its name or folder, or the adapter's */
  readonly name: string;
  readonly model: string;
  readonly adapter?: string;
  /** tokens of an answer, at most */
  readonly maxNewTokens: number;
}
