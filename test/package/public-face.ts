/** What `dist/index.d.ts` offers, seen through the compiler. */
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import ts from 'typescript';

const DIST = fileURLToPath(new URL('../../dist/', import.meta.url));

export interface PublicFace {
  readonly checker: ts.TypeChecker;
  /** By name. An alias stands for what it names. */
  readonly exports: ReadonlyMap<string, ts.Symbol>;
}

export function readPublicFace(entry = join(DIST, 'index.d.ts')): PublicFace {
  const program = ts.createProgram([entry], {
    module: ts.ModuleKind.NodeNext,
    moduleResolution: ts.ModuleResolutionKind.NodeNext,
    target: ts.ScriptTarget.ES2022,
    lib: ['lib.es2024.d.ts', 'lib.esnext.disposable.d.ts', 'lib.dom.d.ts'],
    types: ['node'],
    strict: true,
    exactOptionalPropertyTypes: true,
    skipLibCheck: true,
  });
  const checker = program.getTypeChecker();
  const module = checker.getSymbolAtLocation(program.getSourceFile(entry)!)!;
  const resolve = (symbol: ts.Symbol) =>
    symbol.flags & ts.SymbolFlags.Alias ? checker.getAliasedSymbol(symbol) : symbol;
  return {
    checker,
    exports: new Map(checker.getExportsOfModule(module).map(symbol => [symbol.name, resolve(symbol)])),
  };
}

/** Whether an export exists when the program runs: a class, function or constant. */
export function isValue(symbol: ts.Symbol): boolean {
  return (symbol.flags & ts.SymbolFlags.Value) !== 0;
}

/**
 * Paths of everything of type `any` that a user can reach from an export: properties, parameters, results, type arguments.
 * What is declared elsewhere than under `root` is not ours.
 */
export function reachableAny({ checker, exports }: PublicFace, root = DIST): string[] {
  const found: string[] = [];
  const seen = new Set<ts.Type>();

  function visit(type: ts.Type, path: string): void {
    if (type.flags & ts.TypeFlags.Any) {
      found.push(path);
      return;
    }
    if (seen.has(type)) return;
    seen.add(type);
    for (const [index, argument] of (type.aliasTypeArguments ?? []).entries()) {
      visit(argument, `${path}<${index}>`);
    }
    if (type.isUnionOrIntersection()) {
      for (const part of type.types) visit(part, path);
      return;
    }
    const isReference = (type as ts.TypeReference).target !== undefined;
    if (isReference) {
      const typeArguments = checker.getTypeArguments(type as ts.TypeReference);
      for (const [index, argument] of typeArguments.entries()) visit(argument, `${path}<${index}>`);
    }
    // A type such as Record<string, …> is declared elsewhere and filled in here.
    const isMapped = ((type as ts.ObjectType).objectFlags & ts.ObjectFlags.Mapped) !== 0;
    if (isForeign(type.symbol, root) && !isMapped) return;
    for (const signature of [...type.getCallSignatures(), ...type.getConstructSignatures()]) {
      visitSignature(signature, `${path}()`);
    }
    for (const index of checker.getIndexInfosOfType(type)) visit(index.type, `${path}[]`);
    for (const property of type.getProperties()) {
      if (isForeign(property, root) || isInternal(property) || isHidden(property)) continue;
      visit(checker.getTypeOfSymbol(property), `${path}.${property.name}`);
    }
  }

  function visitSignature(signature: ts.Signature, path: string): void {
    if (signature.declaration !== undefined && isMarkedInternal(signature.declaration)) return;
    for (const parameter of signature.parameters) {
      visit(checker.getTypeOfSymbol(parameter), `${path}:${parameter.name}`);
    }
    visit(signature.getReturnType(), `${path} result`);
  }

  for (const [name, symbol] of exports) {
    if (isValue(symbol)) visit(checker.getTypeOfSymbol(symbol), name);
    if (symbol.flags & (ts.SymbolFlags.Type | ts.SymbolFlags.Class)) {
      visit(checker.getDeclaredTypeOfSymbol(symbol), name);
    }
  }
  return found;
}

/** Properties of interfaces whose name says that a user fills them in, without a comment. */
export function undocumentedSettings({ checker, exports }: PublicFace): string[] {
  return [...exports]
    .filter(([name]) => /(Options|Args)$/.test(name))
    .flatMap(([name, symbol]) =>
      checker
        .getDeclaredTypeOfSymbol(symbol)
        .getProperties()
        .filter(
          property => !isForeign(property, DIST) && property.getDocumentationComment(checker).length === 0,
        )
        .map(property => `${name}.${property.name}`),
    );
}

function isForeign(symbol: ts.Symbol | undefined, root: string): boolean {
  const files = symbol?.declarations?.map(declaration => declaration.getSourceFile().fileName) ?? [];
  return files.length > 0 && !files.some(file => file.startsWith(root));
}

function isInternal(symbol: ts.Symbol): boolean {
  return symbol.getJsDocTags().some(({ name }) => name === 'internal');
}

/** Private members, and the constructor's own property for the members of its objects. */
function isHidden({ name }: ts.Symbol): boolean {
  return name.includes('#') || name === 'prototype';
}

function isMarkedInternal(node: ts.Node): boolean {
  return ts.getJSDocTags(node).some(tag => tag.tagName.text === 'internal');
}
