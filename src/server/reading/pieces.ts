// Texts that come by calls, as something to iterate over.

export class Pieces implements AsyncIterable<string> {
  private readonly texts: string[] = [];
  private ended = false;
  private wake = (): void => {};

  push(text: string): void {
    this.texts.push(text);
    this.wake();
  }

  end(): void {
    this.ended = true;
    this.wake();
  }

  /** Until there is a text, or the end. */
  private async more(): Promise<void> {
    while (this.texts.length === 0 && !this.ended)
      await new Promise<void>((wake) => {
        this.wake = wake;
      });
  }

  async *[Symbol.asyncIterator](): AsyncGenerator<string> {
    for (await this.more(); this.texts.length > 0; await this.more()) yield this.texts.splice(0).join('');
  }
}
