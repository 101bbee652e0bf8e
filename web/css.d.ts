// Stylesheets are the bundler's matter.
declare module '*.css';
