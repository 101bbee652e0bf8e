// Names of repositories, and the paths of a listing that must never be written.
import { describe, expect, it } from 'vitest';
import { checkPaths, formatRepoName, isRepoName, parseRepoName } from './names.ts';

describe('parseRepoName', () => {
  it.each([
    [
      'modelscope:Qwen/Qwen2-VL-2B-Instruct',
      { hub: 'modelscope', id: 'Qwen/Qwen2-VL-2B-Instruct', revision: undefined },
    ],
    ['hf:Qwen/Qwen2.5-VL-3B@refs/pr/3', { hub: 'hf', id: 'Qwen/Qwen2.5-VL-3B', revision: 'refs/pr/3' }],
    ['hf:gpt2', { hub: 'hf', id: 'gpt2', revision: undefined }],
  ])('%s', (text, expected) => {
    expect(parseRepoName(text)).toEqual(expected);
    expect(formatRepoName(parseRepoName(text))).toBe(text);
  });

  it.each([
    'modelscope:gpt2',
    'hf:',
    'hf:a/b/c',
    'hf:../b',
    'hf:a/..',
    'hf:a/b@',
    'hf:a/b@../../x',
    'hf:a/b@/etc',
    'hf:a/b?x=1',
    'hf:-a/b',
  ])('refuses %s', (text) => {
    expect(() => parseRepoName(text)).toThrow(/expected/);
  });

  it('takes a folder, also on a Windows drive, for none', () => {
    expect(['models/base', 'C:\\models', './hf:x', 'huggingface:a/b'].map(isRepoName)).toEqual(Array(4).fill(false));
  });
});

describe('checkPaths', () => {
  it('lets ordinary paths pass', () => {
    checkPaths('hf:a/b', [
      'config.json',
      'a/b c/ü.parquet',
      '.gitattributes',
      'console.json',
      'data/com10.txt',
      'a..b',
    ]);
  });

  it.each([
    ['../x', 'leaves its folder'],
    ['a/../../x', 'leaves its folder'],
    ['a//b', 'empty part'],
    ['./x', 'leaves its folder'],
    ['/etc/passwd', 'absolute'],
    ['C:/x', 'absolute'],
    ['c:x', 'absolute'],
    ['a\\b', 'backslash'],
    ['..\\x', 'backslash'],
    ['CON', 'device'],
    ['a/nul.json', 'device'],
    ['Lpt1.txt/x', 'device'],
    ['com¹', 'device'],
    ['a\u0000b', 'control characters'],
    ['a\nb', 'control characters'],
    ['a\u007f', 'control characters'],
    ['a. ', 'ends in a dot or a space'],
    ['a./b', 'ends in a dot or a space'],
    ['', 'empty'],
    ['x.texlens-part', 'download in progress'],
  ])('refuses %j', (path, reason) => {
    expect(() => checkPaths('hf:a/b', ['config.json', path])).toThrow(reason);
  });

  it('refuses a path that is listed twice', () => {
    expect(() => checkPaths('hf:a/b', ['x', 'x'])).toThrow('listed twice');
  });
});
