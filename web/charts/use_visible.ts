// Whether an element is (nearly) on screen, so that charts far below cost nothing.
import type { RefObject } from 'preact';
import { useEffect, useState } from 'preact/hooks';

export function useVisible(ref: RefObject<HTMLElement | null>): boolean {
  const [visible, setVisible] = useState(false);
  useEffect(() => {
    const observer = new IntersectionObserver(([entry]) => setVisible(entry!.isIntersecting), { rootMargin: '200px' });
    observer.observe(ref.current!);
    return () => observer.disconnect();
  }, [ref]);
  return visible;
}
